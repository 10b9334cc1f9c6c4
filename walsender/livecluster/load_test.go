package livecluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// pgbenchLoad runs pgbench until stop is called.
func pgbenchLoad(t testing.TB, c *postgres.Cluster) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Pgbench(ctx, "postgres", "-n", "-c", "8", "-j", "2", "-T", "600") //nolint:errcheck // it is ended
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	wait(t, "pgbench writes", func() bool {
		return sql(t, c, "SELECT count(*) > 0 FROM pgbench_history") == "t"
	})
	return stop
}

// churn is what else happens while a backup runs: relations come, grow, are truncated,
// rewritten and dropped, databases and in-place tablespaces too.
const churn = `
CREATE TABLE t_%[1]d AS SELECT g, repeat('y', 200) AS filler FROM generate_series(1, 3000) g;
CREATE UNLOGGED TABLE u_%[1]d AS SELECT g FROM generate_series(1, 1000) g;
CREATE INDEX ON t_%[1]d (g);
ALTER TABLE u_%[1]d SET LOGGED;
ALTER TABLE t_%[1]d SET UNLOGGED;
TRUNCATE churned;
INSERT INTO churned SELECT g, repeat('z', 100) FROM generate_series(1, 5000) g;
DELETE FROM churned WHERE g %% 2 = 0;
VACUUM FULL churned;
CREATE DATABASE d_%[1]d STRATEGY %[2]s;
DROP TABLE t_%[1]d, u_%[1]d;
CHECKPOINT;
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE s_%[1]d LOCATION '';
CREATE TABLE in_s_%[1]d TABLESPACE s_%[1]d AS SELECT g FROM generate_series(1, 1000) g;
DROP TABLE in_s_%[1]d;
DROP TABLESPACE s_%[1]d;
VACUUM churned;
DROP DATABASE d_%[1]d;
`

// churnLoad runs churn over and over until stop is called.
func churnLoad(t testing.TB, c *postgres.Cluster) (stop func()) {
	t.Helper()
	sql(t, c, "CREATE TABLE churned (g int, filler text)")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		i := 0
		defer func() { t.Logf("%d rounds of churn", i) }()
		for ; ctx.Err() == nil; i++ {
			strategy := []string{"wal_log", "file_copy"}[i%2]
			if _, err := c.SQL(ctx, "postgres", fmt.Sprintf(churn, i, strategy)); err != nil && ctx.Err() == nil {
				t.Errorf("churn %d: %v", i, err)
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// checkRestored holds a cluster that was started from a backup against what pgbench
// keeps true, and has pg_amcheck look at every relation.
func checkRestored(t testing.TB, c *postgres.Cluster) {
	t.Helper()
	const balances = `SELECT count(DISTINCT s) FROM (VALUES
		((SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts)),
		((SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches)),
		((SELECT coalesce(sum(tbalance), 0) FROM pgbench_tellers)),
		((SELECT coalesce(sum(delta), 0) FROM pgbench_history))) v(s)`
	if got := sql(t, c, balances); got != "1" {
		t.Errorf("the balances have %s different sums", got)
	}
	if _, err := exec.LookPath(filepath.Join(c.Programs.BinDir, "pg_amcheck")); err != nil {
		return // before PostgreSQL 14
	}
	_, err := c.Programs.Run(t.Context(), "pg_amcheck", "-h", c.SocketDir, "-p", strconv.Itoa(c.Port), "-U", "postgres",
		"--all", "--install-missing", "--heapallindexed")
	must(t, err)
}

// TestBackup_UnderLoad takes backups one after the other while everything changes, and
// starts each of them. LIVECLUSTER_TEST_BACKUPS is how many; 3 unless it is set.
func TestBackup_UnderLoad(t *testing.T) {
	backups := 3
	if n, err := strconv.Atoi(os.Getenv("LIVECLUSTER_TEST_BACKUPS")); err == nil {
		backups = n
	}
	// Nothing but the client's slot keeps the WAL.
	s := serve(t, newPrimary(t, map[string]string{"wal_keep_size": "0", "min_wal_size": "2MB", "max_wal_size": "16MB"}))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "2"))
	stopPgbench := pgbenchLoad(t, s.Cluster)
	stopChurn := churnLoad(t, s.Cluster)
	programs := s.Programs
	for i := range backups {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			dir := filepath.Join(programs.TempDir(t), "copy")
			_, err := s.backupTo(t.Context(), t, dir, func(o *client.Options) { o.Jobs, o.WAL = 8, client.WALStream })
			must(t, err)
			must(t, programs.Own(dir))
			run(t, s, "pg_verifybackup", dir)
			restored := programs.OpenCluster(t, dir)
			must(t, restored.Start(t.Context()))
			checkRestored(t, restored)
		})
	}
	stopChurn()
	stopPgbench()
}
