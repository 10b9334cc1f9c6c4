package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestPgBaseBackup runs the real program, which has a good backup, and tells of a bad one.
func TestPgBaseBackup(t *testing.T) {
	programs := postgres.Require(t) // skips, and says so, where PostgreSQL is not installed
	if !programs.Has("pg_basebackup") {
		t.Skip("pg_basebackup is not installed")
	}
	for _, faults := range [][]walsendertest.Fault{nil, {walsendertest.CutArchive("base.tar", 1_000_000)}} {
		t.Run(fmt.Sprint(faults), func(t *testing.T) {
			cluster := walsendertest.Primary()
			cluster.Sample.Version = programs.Major
			server := walsendertest.NewServer(t, cluster, faults...)
			dir := filepath.Join(programs.TempDir(t), "copy")
			out, err := programs.Run(t.Context(), "pg_basebackup", "--no-sync", "-X", "fetch", "-D", dir,
				"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=backup", server.Addr().(*net.TCPAddr).Port))
			if faults == nil {
				must(t, err)
				_, err = os.Stat(filepath.Join(dir, "backup_manifest"))
				must(t, err)
			} else if err == nil || !strings.Contains(out+err.Error(), "could not read COPY data") {
				t.Errorf("pg_basebackup: %v\n%s", err, out)
			}
		})
	}
}
