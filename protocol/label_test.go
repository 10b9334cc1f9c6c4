package protocol_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"pgregory.net/rapid"
)

// label15 is a backup_label of PostgreSQL 15.
const label15 = `START WAL LOCATION: 0/5000028 (file 000000010000000000000005)
CHECKPOINT LOCATION: 0/5000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 07:59:14 UTC
LABEL: pg_basebackup base backup
START TIMELINE: 1
`

func TestBackupLabel(t *testing.T) {
	want := protocol.BackupLabel{
		StartPtr: 0x5000028, WALFile: "000000010000000000000005", Checkpoint: 0x5000060,
		Method: "streamed", From: "primary", StartTime: "2026-11-22 07:59:14 UTC",
		Label: "pg_basebackup base backup", StartTimeline: 1,
	}
	got, err := protocol.ParseBackupLabel(label15)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := want.String(); got != label15 {
		t.Errorf("String() is\n%s", got)
	}
}

func TestBackupLabel_2_3_PostgreSQL19(t *testing.T) {
	const positions = "START WAL LOCATION: 0/05000028 (file 000000010000000000000005)\nCHECKPOINT LOCATION: 0/05000060\n"
	l := protocol.BackupLabel{StartPtr: 0x5000028, WALFile: "000000010000000000000005", Checkpoint: 0x5000060, StartTimeline: 1, Major: 19}
	if text := l.String(); !strings.HasPrefix(text, positions) {
		t.Errorf("String() is\n%s", text)
	}
	got, err := protocol.ParseBackupLabel(l.String() + "\n")
	if err != nil || got.StartPtr != l.StartPtr || got.Checkpoint != l.Checkpoint {
		t.Errorf("read back as %+v, %v", got, err)
	}
}

func TestBackupLabelRoundTrip(t *testing.T) {
	line := rapid.String().Filter(func(s string) bool { return !strings.Contains(s, "\n") })
	rapid.Check(t, func(t *rapid.T) {
		want := protocol.BackupLabel{
			StartPtr: protocoltest.LSNs().Draw(t, "startptr"), Checkpoint: protocoltest.LSNs().Draw(t, "checkpoint"),
			Method: line.Draw(t, "method"), From: line.Draw(t, "from"),
			StartTime: line.Draw(t, "time"), Label: line.Draw(t, "label"),
			StartTimeline: protocoltest.Timelines().Draw(t, "tli"),
		}
		want.WALFile = protocol.WALFileName(want.StartTimeline, want.StartPtr, 16<<20)
		got, err := protocol.ParseBackupLabel(want.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// Of the lines after the second the server misses none.
func TestParseBackupLabelOptionalLines(t *testing.T) {
	lines := strings.SplitAfter(strings.TrimSuffix(label15, "\n"), "\n")
	for missing := 2; missing < len(lines); missing++ {
		text := strings.Join(lines[:missing], "") + strings.Join(lines[missing+1:], "")
		got, err := protocol.ParseBackupLabel(text)
		if err != nil || got.StartTimeline != 1 {
			t.Errorf("without %q: %+v, %v", lines[missing], got, err)
		}
	}
}

func TestParseBackupLabelErrors(t *testing.T) {
	invalid := protocol.Error{Severity: "FATAL", Code: "55000", Message: `invalid data in file "backup_label"`}
	first, rest, _ := strings.Cut(label15, "\n")
	for _, text := range []string{
		"", first, first + "\n", rest,
		strings.ReplaceAll(label15, "\n", "\r\n"),
		strings.Replace(label15, "START WAL", "start WAL", 1),
		strings.Replace(label15, "0/5000028", "0-5000028", 1),
		strings.Replace(label15, " (file ", "(file ", 1),
		strings.Replace(label15, "05)", "05", 1),
		strings.Replace(label15, "05)", "5)", 1),
		strings.Replace(label15, "05)", "05) ", 1),
		strings.Replace(label15, "0/5000060", "0/", 1),
		strings.Replace(label15, "START TIMELINE: 1", "START TIMELINE: one", 1),
	} {
		_, err := protocol.ParseBackupLabel(text)
		protocoltest.WantError(t, text, err, invalid)
	}

	_, err := protocol.ParseBackupLabel(strings.Replace(label15, "TIMELINE: 1", "TIMELINE: 2", 1))
	other := invalid
	other.Detail = "Timeline ID parsed is 2, but expected 1."
	protocoltest.WantError(t, "other timeline", err, other)

	_, err = protocol.ParseBackupLabel(label15 + "INCREMENTAL FROM LSN: 0/4000028\nINCREMENTAL FROM TLI: 1\n")
	protocoltest.WantError(t, "incremental", err, protocol.Error{
		Severity: "FATAL", Code: "55000", Message: "this is an incremental backup, not a data directory",
		Hint: "Use pg_combinebackup to reconstruct a valid data directory.",
	})
}

func FuzzParseBackupLabel(f *testing.F) {
	f.Add(label15)
	f.Fuzz(func(t *testing.T, text string) {
		first, err := protocol.ParseBackupLabel(text)
		if err != nil {
			return
		}
		second, err := protocol.ParseBackupLabel(first.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
