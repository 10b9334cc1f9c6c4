package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestStatusTable(t *testing.T) {
	now := time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC)
	backups := []protocol.BackupStatus{
		{
			Backup: "0b19fc12", Role: "nightly", Phase: "running", Started: now.Add(-100 * time.Second), Total: 50 << 30, Streamed: 20 << 30,
			Sessions: 5, MaxRate: 1 << 20, Throttled: 3500 * time.Millisecond, ChecksumFailures: 2, Label: "all of it\x1b[2J",
		},
		{Backup: "2c33dbb0", Role: "a role with a very long name", Phase: "starting", Started: now, Total: -1, Sessions: 1},
	}
	screen := &statusScreen{last: map[string]sample{}}
	want := `2026-11-27 20:00:00 UTC  2 backups

BACKUP    ROLE                  PHASE     DONE                SENT     OF      RATE      LIMIT   LEFT  SESSIONS  THROTTLED  DAMAGED  LABEL
0b19fc12  nightly               running   ████░░░░░░  40%    20 GB  50 GB  205 MB/s  1024 MB/s  2m31s         5         4s        2  all of it?[2J
2c33dbb0  a role with a very …  starting  -                0 bytes      -         -       none      -         1          -        -  -
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(screen.table(now, backups), "\n")); diff != "" {
		t.Error(diff)
	}
	// What is watched has the rate since the last look.
	backups[0].Streamed += 100 << 20
	if got := screen.table(now.Add(2*time.Second), backups); !strings.Contains(got, " 50 MB/s ") {
		t.Errorf("the rate is not the one of the last seconds:\n%s", got)
	}
	if got := screen.table(now, nil); got != "2026-11-27 20:00:00 UTC  0 backups\n" {
		t.Errorf("nothing is shown as %q", got)
	}
}
