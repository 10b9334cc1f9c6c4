package protocol_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// roundTrip checks that a value survives the wire: its row, as the message that
// pgproto3 writes and reads, decoded again.
func roundTrip[T any](t *testing.T, value *rapid.Generator[T], encode func(T) protocol.Row, decode func(protocol.Row) (T, error)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		want := value.Draw(t, "value")
		message, err := wire.DataRow(encode(want)).Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		var row pgproto3.DataRow
		if err := row.Decode(message[5:]); err != nil {
			t.Fatal(err)
		}
		got, err := decode(row.Values)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestBackupStartRoundTrip_4_1(t *testing.T) {
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.BackupStart {
		return protocol.BackupStart{
			StartPoint: protocol.StartPoint{
				StartPtr: protocoltest.LSNs().Draw(t, "startptr"),
				Timeline: protocoltest.Timelines().Draw(t, "tli"),
				Label:    rapid.String().Draw(t, "label"),
			},
			ID: rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "id"),
		}
	}), protocol.BackupStart.Row, protocol.DecodeBackupStart)
}

func TestBackupStopRoundTrip_4_3(t *testing.T) {
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.BackupStop {
		return protocol.BackupStop{
			StartPtr:     protocoltest.LSNs().Draw(t, "startptr"),
			Timeline:     protocoltest.Timelines().Draw(t, "tli"),
			Label:        rapid.String().Draw(t, "label"),
			StopPtr:      rapid.OneOf(rapid.Just(protocol.LSN(0)), protocoltest.LSNs()).Draw(t, "stopptr"),
			StopTimeline: protocoltest.Timelines().Draw(t, "stoptli"),
		}
	}), protocol.BackupStop.Row, protocol.DecodeBackupStop)
}

func TestTablespaceRoundTrip_4_4(t *testing.T) {
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.Tablespace {
		ts := protocol.Tablespace{
			OID:  rapid.Uint32().Draw(t, "oid"),
			Size: rapid.Int64Min(-1).Draw(t, "size"),
		}
		if ts.OID != 0 {
			ts.Location = rapid.String().Draw(t, "location")
		}
		return ts
	}), protocol.Tablespace.Row, protocol.DecodeTablespace)
}

func TestFileRoundTrip_4_5(t *testing.T) {
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.File {
		return protocol.File{
			Path:    protocoltest.Paths().Draw(t, "path"),
			Type:    rapid.SampledFrom([]protocol.FileType{'f', 'd', 'l'}).Draw(t, "type"),
			Size:    rapid.Int64Min(0).Draw(t, "size"),
			ModTime: time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "mtime"), 0),
		}
	}), protocol.File.Row, protocol.DecodeFile)
}

func TestFileChecksumRoundTrip_8_3(t *testing.T) {
	const size = 32
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.File {
		f := protocol.File{Path: protocoltest.Paths().Draw(t, "path"), Type: 'f', Size: rapid.Int64Min(0).Draw(t, "size"), ModTime: time.Unix(0, 0)}
		if rapid.Bool().Draw(t, "has a checksum") {
			f.Checksum = string(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "checksum"))
		}
		return f
	}), protocol.File.ChecksumRow, func(row protocol.Row) (protocol.File, error) { return protocol.DecodeFileChecksum(row, size) })
}

func TestBackupStatusRoundTrip_8_2(t *testing.T) {
	count := rapid.Int64Min(0)
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.BackupStatus {
		b := protocol.BackupStatus{
			Backup:           rapid.String().Draw(t, "backup"),
			Role:             rapid.String().Draw(t, "role"),
			Phase:            rapid.String().Draw(t, "phase"),
			Started:          time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "started"), 0),
			Total:            rapid.Int64Min(-1).Draw(t, "total"),
			Streamed:         count.Draw(t, "streamed"),
			Files:            count.Draw(t, "files"),
			Sessions:         count.Draw(t, "sessions"),
			MaxRate:          rapid.IntRange(0, 1048576).Draw(t, "rate"),
			Throttled:        time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "throttled")) * time.Millisecond,
			ChecksumFailures: count.Draw(t, "failures"),
			Label:            rapid.String().Draw(t, "label"),
		}
		if rapid.Bool().Draw(t, "has started") {
			b.StartPtr, b.Timeline = protocoltest.LSNs().Draw(t, "startptr"), protocoltest.Timelines().Draw(t, "tli")
		}
		return b
	}), protocol.BackupStatus.Row, protocol.DecodeBackupStatus)
}

func TestSystemRoundTrip_4_9(t *testing.T) {
	systems := rapid.Custom(func(t *rapid.T) protocol.System {
		return protocol.System{
			SystemID: rapid.Uint64().Draw(t, "systemid"),
			Timeline: protocoltest.Timelines().Draw(t, "timeline"),
			XLogPos:  protocoltest.LSNs().Draw(t, "xlogpos"),
		}
	})
	for _, major := range []int{13, 19} {
		roundTrip(t, systems, func(s protocol.System) protocol.Row { return s.Row(major) }, protocol.DecodeSystem)
	}
}

func TestHistoryFileRoundTrip_4_9(t *testing.T) {
	roundTrip(t, rapid.Custom(func(t *rapid.T) protocol.HistoryFile {
		return protocol.HistoryFile{
			Name:    protocol.HistoryFileName(protocoltest.Timelines().Draw(t, "tli")),
			Content: rapid.SliceOf(rapid.Byte()).Draw(t, "content"),
		}
	}), protocol.HistoryFile.Row, protocol.DecodeHistoryFile)
}

// row makes a row of texts; nil stands for NULL.
func row(values ...any) protocol.Row {
	r := make(protocol.Row, len(values))
	for i, v := range values {
		if v != nil {
			r[i] = []byte(v.(string))
		}
	}
	return r
}

func TestDecodeErrors(t *testing.T) {
	decoders := map[string]func(protocol.Row) error{
		"BackupStart":  func(r protocol.Row) error { _, err := protocol.DecodeBackupStart(r); return err },
		"BackupStop":   func(r protocol.Row) error { _, err := protocol.DecodeBackupStop(r); return err },
		"Tablespace":   func(r protocol.Row) error { _, err := protocol.DecodeTablespace(r); return err },
		"File":         func(r protocol.Row) error { _, err := protocol.DecodeFile(r); return err },
		"FileChecksum": func(r protocol.Row) error { _, err := protocol.DecodeFileChecksum(r, 4); return err },
		"BackupStatus": func(r protocol.Row) error { _, err := protocol.DecodeBackupStatus(r); return err },
		"System":       func(r protocol.Row) error { _, err := protocol.DecodeSystem(r); return err },
		"HistoryFile":  func(r protocol.Row) error { _, err := protocol.DecodeHistoryFile(r); return err },
	}
	for _, test := range []struct {
		decoder string
		row     protocol.Row
		want    string
	}{
		{"BackupStart", row("0/1", "1", nil, "id"), ""},
		{"BackupStart", row("0/1", "1", nil, "id", "of a later version"), ""},
		{"BackupStart", nil, `result of START_BACKUP has 0 columns, expected 4`},
		{"BackupStart", row("0/1", "1", nil), `result of START_BACKUP has 3 columns, expected 4`},
		{"BackupStart", row("0", "1", nil, "id"), `result of START_BACKUP has an unexpected value in column "startptr": "0"`},
		{"BackupStart", row(nil, "1", nil, "id"), `result of START_BACKUP has an unexpected value in column "startptr": "NULL"`},
		{"BackupStart", row("0/1", "0", nil, "id"), `result of START_BACKUP has an unexpected value in column "tli": "0"`},
		{"BackupStart", row("0/1", "4294967296", nil, "id"), `result of START_BACKUP has an unexpected value in column "tli": "4294967296"`},
		{"BackupStart", row("0/1", "1", nil, nil), `result of START_BACKUP has an unexpected value in column "unique_backup_id": "NULL"`},

		{"BackupStop", row("0/1", "1", nil, nil, "1"), ""},
		{"BackupStop", row("0/1", "1", "label", "0/2", "1"), ""},
		{"BackupStop", row("0/1", "1", "label"), `result of STOP_BACKUP has 3 columns, expected 5`},
		{"BackupStop", row("0/1", "1", nil, "", "1"), `result of STOP_BACKUP has an unexpected value in column "stopptr": ""`},
		{"BackupStop", row("0/1", "1", nil, nil, nil), `result of STOP_BACKUP has an unexpected value in column "stoptli": "NULL"`},

		{"Tablespace", row(nil, nil, nil), ""},
		{"Tablespace", row("16400", "/t", "12"), ""},
		{"Tablespace", row("16400", nil, "12"), `result of LIST_TABLESPACES has an unexpected value in column "spclocation": "NULL"`},
		{"Tablespace", row(nil, "/t", "12"), `result of LIST_TABLESPACES has an unexpected value in column "spcoid": "NULL"`},
		{"Tablespace", row("0", "/t", nil), `result of LIST_TABLESPACES has an unexpected value in column "spcoid": "0"`},
		{"Tablespace", row(nil, nil, "-1"), `result of LIST_TABLESPACES has an unexpected value in column "size": "-1"`},

		{"File", row("base", "d", "0", "-1"), ""},
		{"File", row("base", "x", "0", "0"), `result of LIST_FILES has an unexpected value in column "type": "x"`},
		{"File", row("base", "", "0", "0"), `result of LIST_FILES has an unexpected value in column "type": ""`},
		{"File", row("base", "f", "-1", "0"), `result of LIST_FILES has an unexpected value in column "size": "-1"`},
		{"File", row("base", "f", "0", "now"), `result of LIST_FILES has an unexpected value in column "mtime": "now"`},
		{"File", row("../base", "f", "0", "0"), `ERROR: invalid file path "../base" (SQLSTATE 22023)`},

		{"FileChecksum", row("base", "d", "0", "0", nil), ""},
		{"FileChecksum", row("base", "f", "0", "0", "0A5ffbd8"), ""},
		{"FileChecksum", row("base", "f", "0", "0"), `result of LIST_FILES has 4 columns, expected 5`},
		{"FileChecksum", row("base", "x", "0", "0", nil), `result of LIST_FILES has an unexpected value in column "type": "x"`},
		{"FileChecksum", row("base", "f", "0", "0", "0a5ffb"), `result of LIST_FILES has an unexpected value in column "checksum": "0a5ffb"`},
		{"FileChecksum", row("base", "f", "0", "0", "0a5ffbd8ff"), `result of LIST_FILES has an unexpected value in column "checksum": "0a5ffbd8ff"`},
		{"FileChecksum", row("base", "f", "0", "0", "0a5ffbdx"), `result of LIST_FILES has an unexpected value in column "checksum": "0a5ffbdx"`},
		{"FileChecksum", row("base", "f", "0", "0", ""), `result of LIST_FILES has an unexpected value in column "checksum": ""`},
		{"FileChecksum", row("base", "d", "0", "0", "0a5ffbd8"), `result of LIST_FILES has an unexpected value in column "checksum": "0a5ffbd8"`},

		{"System", row("7", "1", "0/1", nil), ""},
		{"System", row("7", "1", "0/1"), ""},
		{"System", row("-7", "1", "0/1"), `result of IDENTIFY_SYSTEM has an unexpected value in column "systemid": "-7"`},
		{"System", row("7", "1"), `result of IDENTIFY_SYSTEM has 2 columns, expected 3`},

		{"HistoryFile", row("00000002.history", ""), ""},
		{"HistoryFile", row("00000002.history", nil), `result of TIMELINE_HISTORY has an unexpected value in column "content": "NULL"`},
	} {
		protocoltest.WantText(t, fmt.Sprintf("%s %q", test.decoder, test.row), decoders[test.decoder](test.row), test.want)
	}
}

// Whatever a peer sends as a row, a decoder answers with a value or an error.
func FuzzDecodeRows(f *testing.F) {
	f.Add([]byte("0/1"), []byte("1"), []byte("label"), []byte("0/2"), []byte("1"), uint8(0), uint8(5))
	f.Add([]byte("base/1"), []byte("f"), []byte("8192"), []byte("0"), []byte(""), uint8(0), uint8(4))
	f.Fuzz(func(t *testing.T, a, b, c, d, e []byte, nulls, columns uint8) {
		r := protocol.Row{a, b, c, d, e}
		for i := range r {
			if nulls&(1<<i) != 0 {
				r[i] = nil
			}
		}
		r = r[:columns%6]
		protocol.DecodeBackupStart(r)
		protocol.DecodeBackupStop(r)
		protocol.DecodeSystem(r)
		protocol.DecodeHistoryFile(r)
		if ts, err := protocol.DecodeTablespace(r); err == nil && ts.Size < -1 {
			t.Errorf("%q decodes to %+v", r, ts)
		}
		if file, err := protocol.DecodeFile(r); err == nil && (file.Size < 0 || protocol.CheckPath(file.Path) != nil) {
			t.Errorf("%q decodes to %+v", r, file)
		}
	})
}

func TestTablespaceInPlace_4_4(t *testing.T) {
	for _, test := range []struct {
		tablespace protocol.Tablespace
		want       bool
	}{
		{protocol.Tablespace{OID: 16400, Location: "pg_tblspc/16400"}, true},
		{protocol.Tablespace{OID: 16400, Location: "pg_tblspc/16401"}, false},
		{protocol.Tablespace{OID: 16400, Location: "/srv/pg_tblspc/16400"}, false},
		{protocol.Tablespace{}, false},
	} {
		if got := test.tablespace.InPlace(); got != test.want {
			t.Errorf("%+v: InPlace() = %v", test.tablespace, got)
		}
	}
}

func BenchmarkDecodeFile(b *testing.B) {
	r := row("base/16384/2619", "f", "8192", "1790000000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.DecodeFile(r); err != nil {
			b.Fatal(err)
		}
	}
}
