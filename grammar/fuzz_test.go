package grammar

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/pgparallel/pgparallel/protocol"
)

// No text makes Parse panic; what it accepts has a text that means the same; what
// it refuses has an error that can go out on the wire.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", ";", "STOP_BACKUP NOWAIT;", "IDENTIFY_SYSTEM", "TIMELINE_HISTORY 2",
		"START_BACKUP LABEL 'it''s' FAST MAX_RATE 32", "JOIN_BACKUP '0123456789abcdef'",
		"LIST_TABLESPACES PROGRESS", "LIST_FILES '/ä'", "LIST_FILES CHECKSUM 'SHA256' NOVERIFY_CHECKSUMS", "SEND_FILE ('a') LENGTH 8192 OFFSET 0", "FILE_DIGESTS ('a') CHECKSUM 'SHA256' BLOCK 8192 NOVERIFY_CHECKSUMS", "SHOW My.\"Own\"\"\"",
		"LIST_WAL_FILES START_WAL_LOCATION '0/1' END_WAL_LOCATION 'ffffffff/ffffffff'",
		"send_file('\xff') noverify_checksums", "SEND_FILE ((((", "BASE_BACKUP 'x", "\x00",
		"START_REPLICATION SLOT s PHYSICAL 0/1 TIMELINE 1", "CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL (RESERVE_WAL 'on', a 1)",
		"DROP_REPLICATION_SLOT s WAIT", "READ_REPLICATION_SLOT \"s\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if c != nil && Verb(text) != Verb(c.String()) {
			t.Errorf("Verb(%q) = %q, and of %q it is %q", text, Verb(text), c, Verb(c.String()))
		}
		switch {
		case err != nil:
			checkError(t, text, err)
		case c != nil && len(c.String()) <= MaxCommandLength:
			again, err := Parse(c.String())
			if err != nil || again != c {
				t.Errorf("Parse(%q) = %#v, %v; want %#v", c, again, err, c)
			}
		}
	})
}

// What is parsed without the general parser is what that would make of it, whatever stands
// in the place of the path and behind it.
func FuzzParseSendFile(f *testing.F) {
	for _, text := range []string{"base/1/1')", "base/1/1') NOVERIFY_CHECKSUMS", "it''s')", "\xff\\')", "a\x00')", "') ", "');", "')')", "", "a'", "a') NOVERIFY_CHECKSUMSX",
		"a') OFFSET 8192 LENGTH 1", "a') NOVERIFY_CHECKSUMS LENGTH 007", "a') LENGTH 0", "a') OFFSET 9223372036854775808", "a') OFFSET ", "a') OFFSET 1x", "a') LENGTH 1 OFFSET 2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, behind string) {
		text := sendFileBefore + behind
		if len(text) > MaxCommandLength {
			return
		}
		got, plain := parseSendFile(text)
		if !plain {
			return
		}
		if want, err := parse(text); err != nil || want != Command(got) {
			t.Errorf("%q is %#v; the general parser makes %#v of it, %v", text, got, want, err)
		}
	})
}

// The form in which clients write the command is the one that is parsed fast.
func TestParseSendFile_Plain(t *testing.T) {
	for _, c := range []SendFile{{Path: "base/1/1"}, {Path: "base/1/1", NoVerifyChecksums: true}, {Path: "\xff ("},
		{Path: "a", Offset: 8192}, {Path: "a", Length: 1}, {Path: "a", NoVerifyChecksums: true, Offset: 8192, Length: 1 << 40}} {
		if got, plain := parseSendFile(c.String()); !plain || got != c {
			t.Errorf("%q: %#v, %v", c, got, plain)
		}
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = parseSendFile("SEND_FILE ('base/1/1')") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	e, ok := errors.AsType[*protocol.Error](err)
	switch {
	case !ok:
		t.Errorf("%T: %v", err, err)
	case len(e.Code) != 5:
		t.Errorf("SQLSTATE %q", e.Code)
	case e.Position < 0 || e.Position > utf8.RuneCountInString(text)+1:
		t.Errorf("position %d in %q", e.Position, text)
	case e.Message == "" || len(e.Message) > 512 || !utf8.ValidString(e.Message):
		t.Errorf("message %q", e.Message)
	}
}
