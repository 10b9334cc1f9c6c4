package livecluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDialect_4_1 shows the SQL of each version: up to 14 backups are not exclusive only
// where that is said.
func TestDialect_4_1(t *testing.T) {
	for version, want := range map[int][]string{
		130018: {"SELECT pg_start_backup('it''s \\', true, false)", "SELECT lsn, labelfile FROM pg_stop_backup(false, true)"},
		140013: {"SELECT pg_start_backup('it''s \\', true, false)", "SELECT lsn, labelfile FROM pg_stop_backup(false, true)"},
		150000: {"SELECT pg_backup_start('it''s \\', true)", "SELECT lsn, labelfile FROM pg_backup_stop(true)"},
		180003: {"SELECT pg_backup_start('it''s \\', true)", "SELECT lsn, labelfile FROM pg_backup_stop(true)"},
	} {
		d := dialectOf(version)
		if diff := cmp.Diff(want, []string{d.startSQL(`it's \`, true), d.stopSQL(true)}); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
}
