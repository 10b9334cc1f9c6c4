package grammar

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
)

// The error that a text gets, word for word (§2.2 to §2.6, §4.1, §4.7).
func TestParse_Errors(t *testing.T) {
	at := func(position int, code, message string) protocol.Error {
		return protocol.Error{Severity: "ERROR", Code: code, Message: message, Position: position}
	}
	syntax := func(position int, message string) protocol.Error { return at(position, "42601", message) }
	near := func(position int, token string) protocol.Error {
		return syntax(position, `syntax error at or near "`+token+`"`)
	}
	unknown := func(token string) protocol.Error {
		return at(0, "0A000", `unrecognized replication command "`+token+`"`)
	}
	rate := func(position int, n string) protocol.Error {
		return at(position, "22003", n+` is outside the valid range for parameter "MAX_RATE" (32 .. 1048576)`)
	}
	location := func(position int, value string) protocol.Error {
		return at(position, "22P02", `could not parse write-ahead log location "`+value+`"`)
	}
	notUTF8 := func(position int) protocol.Error {
		return at(position, "22021", `invalid byte sequence for encoding "UTF8"`)
	}
	label := func(message string) protocol.Error { return at(20, "22023", message) }
	tooLong := protocol.Error{Severity: "FATAL", Code: "08P01", Message: "command is too long (max 16384 bytes)"}
	const (
		endOfInput    = "syntax error at end of input"
		unterminated  = "unterminated quoted string"
		tooManyTokens = "command has too many tokens"
	)

	tests := []struct {
		name string
		text string
		want protocol.Error
	}{
		{"§2.2 open string", `JOIN_BACKUP 'abc`, syntax(13, unterminated)},
		{"§2.2 open string after doubled quote", `JOIN_BACKUP 'abc''`, syntax(13, unterminated)},
		{"§2.2 open name", `SHOW "abc'`, syntax(6, unterminated)},
		{"§2.2 open string out of place", `STOP_BACKUP '`, syntax(13, unterminated)},
		{"§2.2 open string behind another error", `STOP_BACKUP x '`, near(13, "x")},
		{"§2.2 label not UTF-8", "START_BACKUP LABEL '\xff'", notUTF8(20)},
		{"§2.2 id not UTF-8", "JOIN_BACKUP '\xc3'", notUTF8(13)},
		{"§2.2 location not UTF-8", "LIST_WAL_FILES START_WAL_LOCATION '0/\xff'", notUTF8(35)},
		{"§2.2 name not UTF-8", "SHOW a.\xff", notUTF8(8)},
		{"§2.2 quoted name not UTF-8", "SHOW \"\xff\"", notUTF8(6)},
		{"§2.2 NUL in a path", "SEND_FILE ('ä\x00')", notUTF8(14)},
		{"§2.2 NUL between tokens", "STOP_BACKUP\x00", notUTF8(12)},
		{"§2.2 NUL alone", "\x00", notUTF8(1)},

		{"§2.3 LABEL twice", `START_BACKUP LABEL 'ä' LABEL 'b'`, syntax(24, `duplicate option "LABEL"`)},
		{"§2.3 FAST twice", `START_BACKUP fast MAX_RATE 32 Fast`, syntax(31, `duplicate option "FAST"`)},
		{"§2.3 MAX_RATE twice", `START_BACKUP MAX_RATE 32 MAX_RATE 33`, syntax(26, `duplicate option "MAX_RATE"`)},
		{"§2.3 start twice", `LIST_WAL_FILES START_WAL_LOCATION '0/0' START_WAL_LOCATION '0/0'`, syntax(41, `duplicate option "START_WAL_LOCATION"`)},
		{"§2.3 end twice", `LIST_WAL_FILES END_WAL_LOCATION '0/0' end_wal_location '0/0'`, syntax(39, `duplicate option "END_WAL_LOCATION"`)},

		{"§2.4 two commands", `START_BACKUP; STOP_BACKUP`, near(15, "STOP_BACKUP")},
		{"§2.4 two semicolons", `START_BACKUP;;`, near(14, ";")},
		{"§2.4 too long", `SEND_FILE ('` + strings.Repeat("a", MaxCommandLength-13) + `')`, tooLong},
		{"§2.4 too long and empty", strings.Repeat(" ", MaxCommandLength+1), tooLong},
		{"§2.4 too many tokens", `SHOW ` + strings.Repeat("a.", 31) + "a;", syntax(69, tooManyTokens)},
		{"§2.4 too many parentheses", `SEND_FILE ` + strings.Repeat("(", 16000), syntax(74, tooManyTokens)},
		{"§2.4 too many semicolons", `STOP_BACKUP` + strings.Repeat(";", 64), syntax(75, tooManyTokens)},
		{"§2.4 unknown and too many tokens", strings.Repeat("A ", 100), unknown("A")},

		{"§2.6 unknown", `UPLOAD_MANIFEST ( LABEL 'x' )`, unknown("UPLOAD_MANIFEST")},
		{"§2.6 unknown, whatever follows", `SELECT 'it`, unknown("SELECT")},
		{"§2.6 unknown, cut", strings.Repeat("ö", 65), unknown(strings.Repeat("ö", 64))},
		{"§2.6 unknown, not UTF-8", "\xffoo", unknown("\uFFFDoo")},
		{"§2.6 prefix of a command", `START_BACKU`, unknown("START_BACKU")},
		{"§2.6 command and more", `STOP_BACKUPS`, unknown("STOP_BACKUPS")},
		{"§2.6 number", ` 42`, unknown("42")},
		{"§2.6 quoted command", `"STOP_BACKUP"`, unknown(`"STOP_BACKUP"`)},
		{"§2.6 string", `'STOP_BACKUP'`, unknown(`'STOP_BACKUP'`)},
		{"§2.6 semicolon first", `; STOP_BACKUP`, unknown(";")},
		{"§2.6 letters that fold to ASCII", "LIſT_FILES", unknown("LIſT_FILES")},
		{"§2.6 comment", `-- STOP_BACKUP`, unknown("-")},

		{"§2.6 token", `STOP_BACKUP wait`, near(13, "wait")},
		{"§2.6 string where none is", `STOP_BACKUP 'NOWAIT'`, near(13, "'NOWAIT'")},
		{"§2.6 name where none is", `STOP_BACKUP "NOWAIT"`, near(13, `"NOWAIT"`)},
		{"§2.6 token cut", `STOP_BACKUP ` + strings.Repeat("ü", 65), near(13, strings.Repeat("ü", 64))},
		{"§2.6 token not UTF-8", "STOP_BACKUP \xff", near(13, "\uFFFD")},
		{"§2.6 position after characters", `LIST_FILES 'größer' x`, near(21, "x")},
		{"§2.6 position after other bytes", "SEND_FILE ('\xff\xff\xe2\x82') x", near(20, "x")},
		{"§2.6 position after a line break", "STOP_BACKUP\r\n\tx", near(15, "x")},
		{"§2.6 option without value", `START_BACKUP LABEL`, syntax(19, endOfInput)},
		{"§2.6 option with another's value", `START_BACKUP FAST LABEL 5`, near(25, "5")},
		{"§2.6 option before semicolon", `START_BACKUP FAST MAX_RATE;`, near(27, ";")},
		{"§2.6 negative rate", `START_BACKUP MAX_RATE -1`, near(23, "-")},
		{"§2.6 rate with unit", `START_BACKUP MAX_RATE 32kB`, near(25, "kB")},
		{"§2.6 option of another command", `LIST_WAL_FILES FAST`, near(16, "FAST")},
		{"§2.6 nothing to join", `JOIN_BACKUP`, syntax(12, endOfInput)},
		{"§2.6 end behind white space", "JOIN_BACKUP \n", syntax(14, endOfInput)},
		{"§2.6 two strings", `JOIN_BACKUP 'a' 'b'`, near(17, "'b'")},
		{"§2.6 no parenthesis", `SEND_FILE 'a'`, near(11, "'a'")},
		{"§2.6 empty parentheses", `SEND_FILE ()`, near(12, ")")},
		{"§2.6 two paths", `SEND_FILE ('a', 'b')`, near(15, ",")},
		{"§2.6 parenthesis open", `SEND_FILE ('a'`, syntax(15, endOfInput)},
		{"§2.6 PROGRESS with value", `LIST_TABLESPACES PROGRESS 1`, near(27, "1")},
		{"§2.6 IDENTIFY_SYSTEM and more", `IDENTIFY_SYSTEM x`, near(17, "x")},
		{"§2.6 SHOW nothing", `SHOW`, syntax(5, endOfInput)},
		{"§2.6 SHOW string", `SHOW 'x'`, near(6, "'x'")},
		{"§2.6 SHOW with dot at its end", `SHOW a.`, syntax(8, endOfInput)},
		{"§2.6 SHOW nameless", `SHOW a.""`, syntax(8, `zero-length delimited identifier at or near """"`)},
		{"§2.6 timeline in quotes", `TIMELINE_HISTORY '1'`, near(18, "'1'")},
		{"§2.6 timeline 0", `TIMELINE_HISTORY 0`, syntax(18, "invalid timeline 0")},
		{"§2.6 timeline too great", `TIMELINE_HISTORY 4294967296`, syntax(18, "invalid timeline 4294967296")},

		{"§4.1 label too long", `START_BACKUP LABEL '` + strings.Repeat("a", 1025) + `'`, label("backup label too long (max 1024 bytes)")},
		{"§4.1 line break in label", "START_BACKUP LABEL 'a\nSTART TIMELINE: 2'", label("backup label must not contain control characters")},
		{"§4.1 DEL in label", "START_BACKUP LABEL '\x7f'", label("backup label must not contain control characters")},
		{"§4.1 NEL in label", "START_BACKUP LABEL '\u0085'", label("backup label must not contain control characters")},
		{"§8.3 no algorithm", `LIST_FILES CHECKSUM`, syntax(20, endOfInput)},
		{"§8.3 algorithm before the tablespace", `LIST_FILES CHECKSUM 'CRC32C' '16384'`, near(30, "'16384'")},
		{"§8.3 empty algorithm", `LIST_FILES CHECKSUM ''`, at(21, "22023", `unrecognized checksum algorithm: ""`)},
		{"§8.3 algorithm in a wrong encoding", "LIST_FILES CHECKSUM '\xff'", notUTF8(21)},
		{"§8.3 checksum twice", `LIST_FILES CHECKSUM 'a' checksum 'a'`, syntax(25, `duplicate option "CHECKSUM"`)},
		{"§8.3 digest without an algorithm", `FILE_DIGESTS ('a')`, syntax(19, endOfInput)},
		{"§8.3 digest by no algorithm", `FILE_DIGESTS ('a') CHECKSUM ''`, at(29, "22023", `unrecognized checksum algorithm: ""`)},
		{"§8.3 block 0", `FILE_DIGESTS ('a') CHECKSUM 'CRC32C' BLOCK 0`, at(44, "22003", `0 is outside the valid range for parameter "BLOCK" (1 .. 9223372036854775807)`)},
		{"§8.3 length 0", `SEND_FILE ('a') LENGTH 0`, at(24, "22003", `0 is outside the valid range for parameter "LENGTH" (1 .. 9223372036854775807)`)},
		{"§8.3 offset beyond 63 bits", `SEND_FILE ('a') OFFSET 9223372036854775808`, at(24, "22003", `9223372036854775808 is outside the valid range for parameter "OFFSET" (0 .. 9223372036854775807)`)},
		{"§8.3 offset twice", `SEND_FILE ('a') OFFSET 1 LENGTH 2 OFFSET 1`, syntax(35, `duplicate option "OFFSET"`)},
		{"§8.3 negative offset", `SEND_FILE ('a') OFFSET -1`, near(24, "-")},
		{"§4.1 rate 0", `START_BACKUP MAX_RATE 0`, rate(23, "0")},
		{"§4.1 rate too low", `START_BACKUP MAX_RATE 31`, rate(23, "31")},
		{"§4.1 rate too high", `START_BACKUP MAX_RATE 1048577`, rate(23, "1048577")},
		{"§4.1 rate beyond 64 bits", `START_BACKUP MAX_RATE 18446744073709551648`, rate(23, "18446744073709551648")},
		{"§4.1 rate cut", `START_BACKUP MAX_RATE ` + strings.Repeat("9", 100), rate(23, strings.Repeat("9", 64))},

		{"§4.7 no slash", `LIST_WAL_FILES START_WAL_LOCATION '01000000'`, location(35, "01000000")},
		{"§4.7 empty", `LIST_WAL_FILES START_WAL_LOCATION ''`, location(35, "")},
		{"§4.7 half", `LIST_WAL_FILES END_WAL_LOCATION '0/'`, location(33, "0/")},
		{"§4.7 two slashes", `LIST_WAL_FILES END_WAL_LOCATION '0/0/0'`, location(33, "0/0/0")},
		{"§4.7 nine digits", `LIST_WAL_FILES END_WAL_LOCATION '0/000000001'`, location(33, "0/000000001")},
		{"§4.7 sign", `LIST_WAL_FILES END_WAL_LOCATION '0/+1'`, location(33, "0/+1")},
		{"§4.7 no digit", `LIST_WAL_FILES END_WAL_LOCATION '0/g'`, location(33, "0/g")},
		{"§4.7 space", `LIST_WAL_FILES END_WAL_LOCATION ' 0/1'`, location(33, " 0/1")},
		{"§4.7 cut", `LIST_WAL_FILES END_WAL_LOCATION '` + strings.Repeat("x", 65) + `'`, location(33, strings.Repeat("x", 64))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse(test.text)
			if c != nil {
				t.Errorf("Parse(%q) = %#v", test.text, c)
			}
			if diff := cmp.Diff(error(&test.want), err); diff != "" {
				t.Errorf("Parse(%.100q) (-want +got):\n%s", test.text, diff)
			}
		})
	}
}
