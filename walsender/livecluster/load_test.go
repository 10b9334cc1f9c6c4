package livecluster_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pgparallel/pgparallel/client"
)

// TestBackup_UnderLoad takes backups one after the other while everything changes, and
// starts each of them. By turns the bytes come over the Unix socket, verified pages by
// sendfile from pages that change meanwhile, and by descriptors. PGPARALLEL_LOAD_BACKUPS is how many; 3 unless it is set.
func TestBackup_UnderLoad(t *testing.T) {
	backups := 3 // not beside other tests: the slot must be there before the load's checkpoints remove the WAL
	if n, err := strconv.Atoi(os.Getenv("PGPARALLEL_LOAD_BACKUPS")); err == nil {
		backups = n
	}
	// Nothing but the client's slot keeps the WAL.
	s := serve(t, newPrimary(t, map[string]string{"wal_keep_size": "0", "min_wal_size": "2MB", "max_wal_size": "16MB"}))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "2"))
	stopPgbench := s.StartLoad(t)
	stopChurn := s.StartDDL(t)
	programs := s.Programs
	for i := range backups {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			dir := filepath.Join(programs.TempDir(t), "copy")
			_, err := s.backupTo(t.Context(), t, dir, func(o *client.Options) {
				o.Jobs, o.WAL.Method, o.NoDescriptors = 8, client.WALStream, i%2 == 0
			})
			must(t, err)
			must(t, programs.Own(dir))
			run(t, s, "pg_verifybackup", dir)
			restored := programs.OpenCluster(t, dir)
			must(t, restored.Start(t.Context()))
			must(t, restored.CheckLoad(t.Context()))
		})
	}
	stopChurn()
	stopPgbench()
}
