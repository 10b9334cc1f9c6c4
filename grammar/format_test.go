package grammar

import (
	"math"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestCommand_String(t *testing.T) {
	tests := []struct {
		command Command
		want    string
	}{
		{StartBackup{Label: DefaultLabel}, `START_BACKUP`},
		{StartBackup{}, `START_BACKUP LABEL ''`},
		{StartBackup{"Bob's", true, 32}, `START_BACKUP LABEL 'Bob''s' FAST MAX_RATE 32`},
		{JoinBackup{"0a1b"}, `JOIN_BACKUP '0a1b'`},
		{StopBackup{}, `STOP_BACKUP`},
		{StopBackup{NoWait: true}, `STOP_BACKUP NOWAIT`},
		{ListTablespaces{}, `LIST_TABLESPACES`},
		{ListTablespaces{Progress: true}, `LIST_TABLESPACES PROGRESS`},
		{ListFiles{}, `LIST_FILES`},
		{ListFiles{Tablespace: "16384"}, `LIST_FILES '16384'`},
		{ListFiles{Checksum: "CRC32C"}, `LIST_FILES CHECKSUM 'CRC32C'`},
		{ListFiles{"16384", "it's", true}, `LIST_FILES '16384' CHECKSUM 'it''s' NOVERIFY_CHECKSUMS`},
		{ListWALFiles{}, `LIST_WAL_FILES`},
		{ListWALFiles{Start: At(0)}, `LIST_WAL_FILES START_WAL_LOCATION '0/0'`},
		{ListWALFiles{At(1), At(0xA0000000F)}, `LIST_WAL_FILES START_WAL_LOCATION '0/1' END_WAL_LOCATION 'A/F'`},
		{SendFile{Path: "base/1/1259"}, `SEND_FILE ('base/1/1259')`},
		{SendFile{Path: "it's", NoVerifyChecksums: true}, `SEND_FILE ('it''s') NOVERIFY_CHECKSUMS`},
		{SendFile{Path: "a", Descriptor: true}, `SEND_FILE ('a') DESCRIPTOR`},
		{SendFile{Path: "a", NoVerifyChecksums: true, Descriptor: true}, `SEND_FILE ('a') NOVERIFY_CHECKSUMS DESCRIPTOR`},
		{SendFile{Path: "a", Offset: 8192}, `SEND_FILE ('a') OFFSET 8192`},
		{SendFile{Path: "a", NoVerifyChecksums: true, Offset: 1, Length: math.MaxInt64}, `SEND_FILE ('a') NOVERIFY_CHECKSUMS OFFSET 1 LENGTH 9223372036854775807`},
		{FileDigests{Path: "it's", Checksum: "SHA256"}, `FILE_DIGESTS ('it''s') CHECKSUM 'SHA256'`},
		{FileDigests{"a", "CRC32C", 1 << 20, true}, `FILE_DIGESTS ('a') CHECKSUM 'CRC32C' BLOCK 1048576 NOVERIFY_CHECKSUMS`},
		{IdentifySystem{}, `IDENTIFY_SYSTEM`},
		{Show{"data_checksums"}, `SHOW data_checksums`},
		{Show{"my.own"}, `SHOW my.own`},
		{Show{"a.b.c"}, `SHOW "a.b.c"`},
		{Show{"TimeZone"}, `SHOW "TimeZone"`},
		{Show{`a"b`}, `SHOW "a""b"`},
		{TimelineHistory{7}, `TIMELINE_HISTORY 7`},
		{ListBackups{}, `LIST_BACKUPS`},
		{AlterBackup{"it's", 0}, `ALTER_BACKUP 'it''s' MAX_RATE 0`},
		{AlterBackup{MaxRate: 64}, `ALTER_BACKUP MAX_RATE 64`},
	}
	for _, test := range tests {
		if got := test.command.String(); got != test.want {
			t.Errorf("%#v: got %s, want %s", test.command, got, test.want)
		}
	}
}

// Whatever a command holds, its text means the command.
func TestCommand_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawCommand(t)
		got, err := Parse(want.String())
		if err != nil || got != want {
			t.Fatalf("Parse(%q) = %#v, %v; want %#v", want, got, err, want)
		}
	})
}

func drawCommand(t *rapid.T) Command {
	text, bytes := drawText(), rapid.SliceOf(rapid.ByteRange(1, 255))
	flag := rapid.Bool()
	location := rapid.OneOf(rapid.Just(Location{}), rapid.Map(rapid.Uint64(), func(lsn uint64) Location {
		return At(protocol.LSN(lsn))
	}))
	switch rapid.IntRange(0, 12).Draw(t, "command") {
	case 0:
		return StartBackup{
			Label:   text.Filter(isLabel).Draw(t, "label"),
			Fast:    flag.Draw(t, "fast"),
			MaxRate: rapid.OneOf(rapid.Just(0), rapid.IntRange(minRate, maxRate)).Draw(t, "rate"),
		}
	case 1:
		return JoinBackup{ID: text.Draw(t, "id")}
	case 2:
		return StopBackup{NoWait: flag.Draw(t, "nowait")}
	case 3:
		return ListTablespaces{Progress: flag.Draw(t, "progress")}
	case 4:
		return ListFiles{Tablespace: string(bytes.Draw(t, "tablespace")), Checksum: text.Draw(t, "checksum"), NoVerifyChecksums: flag.Draw(t, "noverify")}
	case 5:
		return ListWALFiles{Start: location.Draw(t, "start"), End: location.Draw(t, "end")}
	case 6:
		return SendFile{
			Path:              string(bytes.Draw(t, "path")),
			NoVerifyChecksums: flag.Draw(t, "noverify"),
			Descriptor:        flag.Draw(t, "descriptor"),
			Offset:            rapid.Int64Min(0).Draw(t, "offset"),
			Length:            rapid.Int64Min(0).Draw(t, "length"),
		}
	case 7:
		return IdentifySystem{}
	case 8:
		return Show{Name: text.Filter(func(s string) bool { return s != "" }).Draw(t, "name")}
	case 11:
		return FileDigests{
			Path:              string(bytes.Draw(t, "path")),
			Checksum:          text.Filter(func(s string) bool { return s != "" }).Draw(t, "checksum"),
			Block:             rapid.Int64Min(0).Draw(t, "block"),
			NoVerifyChecksums: flag.Draw(t, "noverify"),
		}
	case 9:
		return ListBackups{}
	case 10:
		return AlterBackup{
			Backup:  text.Draw(t, "backup"),
			MaxRate: rapid.OneOf(rapid.Just(0), rapid.IntRange(minRate, maxRate)).Draw(t, "rate"),
		}
	default:
		return TimelineHistory{Timeline: protocol.Timeline(rapid.Uint32Min(1).Draw(t, "timeline"))}
	}
}

// drawText draws UTF-8 without NUL, often of characters that mean something.
func drawText() *rapid.Generator[string] {
	special := rapid.StringOf(rapid.RuneFrom([]rune(`'"'';().aA_$0 \ßſ€` + "\n")))
	names := rapid.StringMatching(`[a-z_]{1,3}(\.[a-z_$]{0,3}){0,40}`)
	return rapid.OneOf(rapid.String(), special, names, rapid.Just(DefaultLabel)).Filter(func(s string) bool {
		return utf8.ValidString(s) && !strings.Contains(s, "\x00") && len(s) < MaxCommandLength/4
	})
}

func isLabel(s string) bool {
	return len(s) <= maxLabelLength && !strings.ContainsFunc(s, unicode.IsControl)
}
