//go:build unix

package protocol_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// PostgreSQL is the oracle: the backup_label that it writes is read, and written again to
// the byte.
func TestPostgreSQL_BackupLabel(t *testing.T) {
	pg := postgres.Require(t)
	cluster := pg.NewCluster(t, postgres.InitOptions{})
	if err := cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(pg.TempDir(t), "backup")
	_, err := pg.Run(t.Context(), "pg_basebackup", "-d", cluster.ConnString("postgres"), "-D", backup,
		"-X", "none", "-c", "fast", "-l", "it's a label", "--no-sync")
	if err != nil {
		t.Fatal(err)
	}
	checkLabel(t, filepath.Join(backup, "backup_label"))
}

func checkLabel(t *testing.T, name string) {
	t.Helper()
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := protocol.ParseBackupLabel(string(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), l.String()); diff != "" {
		t.Errorf("backup_label (-want +got):\n%s", diff)
	}
	if l.Label != "it's a label" || l.WALFile != protocol.WALFileName(l.StartTimeline, l.StartPtr, 16<<20) {
		t.Errorf("backup_label is %+v", l)
	}
}
