package grammar

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	longLabel := strings.Repeat("ä", maxLabelLength/len("ä"))
	tests := []struct {
		name string
		text string
		want Command
	}{
		{"§4.1 no options", `START_BACKUP`, StartBackup{Label: DefaultLabel}},
		{"§4.1 all options", `START_BACKUP LABEL 'nightly' FAST MAX_RATE 1024`, StartBackup{"nightly", true, 1024}},
		{"§4.1 empty label", `START_BACKUP LABEL ''`, StartBackup{}},
		{"§4.1 longest label", `START_BACKUP LABEL '` + longLabel + `'`, StartBackup{Label: longLabel}},
		{"§4.1 lowest rate", `START_BACKUP MAX_RATE 32`, StartBackup{Label: DefaultLabel, MaxRate: 32}},
		{"§4.1 highest rate", `START_BACKUP MAX_RATE 0001048576`, StartBackup{Label: DefaultLabel, MaxRate: 1048576}},
		{"§4.2", `JOIN_BACKUP '0123456789abcdef0123456789abcdef'`, JoinBackup{"0123456789abcdef0123456789abcdef"}},
		{"§4.2 empty id", `JOIN_BACKUP ''`, JoinBackup{}},
		{"§4.3", `STOP_BACKUP`, StopBackup{}},
		{"§4.3 NOWAIT", `STOP_BACKUP NOWAIT`, StopBackup{NoWait: true}},
		{"§4.4", `LIST_TABLESPACES`, ListTablespaces{}},
		{"§4.4 PROGRESS", `LIST_TABLESPACES PROGRESS`, ListTablespaces{Progress: true}},
		{"§4.5", `LIST_FILES`, ListFiles{}},
		{"§4.5 data directory", `LIST_FILES ''`, ListFiles{}},
		{"§4.5 location", `LIST_FILES '/mnt/größer'`, ListFiles{Tablespace: "/mnt/größer"}},
		{"§4.6", `SEND_FILE ('base/5/1259')`, SendFile{Path: "base/5/1259"}},
		{"§4.6 no checksums", `SEND_FILE ('base/5/1259') NOVERIFY_CHECKSUMS`, SendFile{Path: "base/5/1259", NoVerifyChecksums: true}},
		{"§8.4 descriptor", `send_file ('base/5/1259') descriptor noverify_checksums`, SendFile{Path: "base/5/1259", NoVerifyChecksums: true, Descriptor: true}},
		{"§8.3 digests", `list_files checksum 'sha256'`, ListFiles{Checksum: "sha256"}},
		{"§8.3 digests of a tablespace", `LIST_FILES '16384' NOVERIFY_CHECKSUMS CHECKSUM 'CRC32C'`, ListFiles{Tablespace: "16384", Checksum: "CRC32C", NoVerifyChecksums: true}},
		{"§8.3 an algorithm that is none", `LIST_FILES CHECKSUM 'MD5'`, ListFiles{Checksum: "MD5"}},
		{"§8.3 range", `send_file ('a') length 8192 offset 16384 noverify_checksums`, SendFile{Path: "a", NoVerifyChecksums: true, Offset: 16384, Length: 8192}},
		{"§8.3 whole file", `SEND_FILE ('a') OFFSET 0`, SendFile{Path: "a"}},
		{"§8.3 leading zeros", `SEND_FILE ('a') OFFSET 08 LENGTH 01`, SendFile{Path: "a", Offset: 8, Length: 1}},
		{"§8.3 digest of a file", `file_digests ('a') checksum 'sha256'`, FileDigests{Path: "a", Checksum: "sha256"}},
		{"§8.3 of its blocks", "FILE_DIGESTS ('\xff') CHECKSUM 'CRC32C' NOVERIFY_CHECKSUMS BLOCK 8192", FileDigests{Path: "\xff", Checksum: "CRC32C", Block: 8192, NoVerifyChecksums: true}},
		{"§4.6 quotes", `SEND_FILE ('it''s ''''quoted''''')`, SendFile{Path: "it's ''quoted''"}},
		{"§4.6 keyword as path", `SEND_FILE ('NOVERIFY_CHECKSUMS')`, SendFile{Path: "NOVERIFY_CHECKSUMS"}},
		{"§2.2 bytes as path", "SEND_FILE ('\xff\xfe\n;--\\')", SendFile{Path: "\xff\xfe\n;--\\"}},
		{"§4.7", `LIST_WAL_FILES`, ListWALFiles{}},
		{"§4.7 both", `LIST_WAL_FILES START_WAL_LOCATION '0/1000000' END_WAL_LOCATION '16/B374D848'`, ListWALFiles{At(0x1000000), At(0x16B374D848)}},
		{"§4.7 other form of the same", `LIST_WAL_FILES END_WAL_LOCATION '00000000/0b374d84'`, ListWALFiles{End: At(0xB374D84)}},
		{"§8.2", `LIST_BACKUPS`, ListBackups{}},
		{"§8.2 rate", `ALTER_BACKUP MAX_RATE 32`, AlterBackup{MaxRate: 32}},
		{"§8.2 no rate, another's", `ALTER_BACKUP '01234567' MAX_RATE 0;`, AlterBackup{Backup: "01234567"}},
		{"§4.9 IDENTIFY_SYSTEM", `IDENTIFY_SYSTEM`, IdentifySystem{}},
		{"§4.9 SHOW", `SHOW wal_segment_size`, Show{"wal_segment_size"}},
		{"§4.9 SHOW in upper case", `SHOW Wal_Segment_SIZE`, Show{"wal_segment_size"}},
		{"§4.9 SHOW quoted", `SHOW "Wal ""Segment"""`, Show{`Wal "Segment"`}},
		{"§4.9 SHOW qualified", `SHOW My . "Own".x1$`, Show{"my.Own.x1$"}},
		{"§4.9 SHOW folds ASCII only", `SHOW GRÖSSE`, Show{"grÖsse"}},
		{"§4.9 SHOW keyword", `SHOW Label`, Show{"label"}},
		{"§4.9 TIMELINE_HISTORY", `TIMELINE_HISTORY 1`, TimelineHistory{1}},
		{"§4.9 last timeline", `TIMELINE_HISTORY 4294967295`, TimelineHistory{4294967295}},
		{"§2 semicolon", `STOP_BACKUP;`, StopBackup{}},
		{"§2 white space", "\f\v\r\n\t STOP_BACKUP\n NOWAIT \t ; \n", StopBackup{NoWait: true}},
		{"§2 no white space", `send_file('a')noverify_checksums;`, SendFile{Path: "a", NoVerifyChecksums: true}},
		{"§2.1 lower case", `start_backup label 'Label' fast max_rate 32`, StartBackup{"Label", true, 32}},
		{"§2.1 mixed case", `Show x`, Show{"x"}},
		{"§2.3 any order", `START_BACKUP MAX_RATE 32 FAST LABEL 'x'`, StartBackup{"x", true, 32}},
		{"§2.4 longest", `SEND_FILE ('` + strings.Repeat("a", MaxCommandLength-14) + `')`, SendFile{Path: strings.Repeat("a", MaxCommandLength-14)}},
		{"§2.4 most tokens", `SHOW ` + strings.Repeat("a.", 31) + `a`, Show{strings.Repeat("a.", 31) + "a"}},
		{"§2.5 nothing", ``, nil},
		{"§2.5 white space", " \t\r\n\f\v", nil},
		{"§2.5 semicolons", " ; ;", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Parse(%.100q) (-want +got):\n%s", test.text, diff)
			}
		})
	}
}

// However options are ordered, written and spaced, they mean the same (§2.1, §2.3).
func TestParse_2_3_OptionsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := StartBackup{Label: "Some 'label'", Fast: true, MaxRate: 4711}
		options := rapid.Permutation([][]string{{"LABEL", "'Some ''label'''"}, {"FAST"}, {"MAX_RATE", "4711"}}).Draw(t, "order")

		text := writeKeyword(t, "START_BACKUP")
		for _, option := range options {
			text += drawSpace(t) + writeKeyword(t, option[0])
			for _, value := range option[1:] {
				text += drawSpace(t) + value
			}
		}
		got, err := Parse(text)
		if err != nil || got != want {
			t.Fatalf("Parse(%q) = %#v, %v; want %#v", text, got, err, want)
		}
	})
}

func writeKeyword(t *rapid.T, keyword string) string {
	written := []byte(keyword)
	for i := range written {
		if rapid.Bool().Draw(t, "lower") {
			written[i] = strings.ToLower(keyword)[i]
		}
	}
	return string(written)
}

func drawSpace(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune(whiteSpace)), 1, 3, -1).Draw(t, "space")
}

func TestParse_ConcurrentUse(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if _, err := Parse(`START_BACKUP LABEL 'x' FAST`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestVerb(t *testing.T) {
	for text, want := range map[string]string{
		"START_BACKUP FAST":          "START_BACKUP",
		" \n base_backup(LABEL 'x')": "BASE_BACKUP",
		"STOP_BACKUP;":               "STOP_BACKUP",
		"SEND_FILE('a')":             "SEND_FILE",
		"Select 'it":                 "SELECT",
		"":                           "",
		";":                          "",
		"; STOP_BACKUP":              "",
		"(STOP_BACKUP":               "",
		`"STOP_BACKUP"`:              "",
		"STÖP":                       "",
		"\\Parse STOP_BACKUP":        "",
	} {
		if got := Verb(text); got != want {
			t.Errorf("Verb(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestSentPath(t *testing.T) {
	for text, want := range map[string]string{
		"SEND_FILE ('it''s')":                  "it's",
		"send_file('a') noverify_checksums ; ": "a",
		"SEND_FILE ('a') x":                    "",
		"LIST_FILES 'a'":                       "",
		"BASE_BACKUP":                          "",
		"":                                     "",
	} {
		if got, sends := SentPath(text); got != want || sends != (want != "") {
			t.Errorf("SentPath(%q) = %q, %v; want %q", text, got, sends, want)
		}
	}
}
