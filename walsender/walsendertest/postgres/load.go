package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync"
)

// StartLoad runs pgbench, some hundred transactions a second, on the database
// postgres, which "pgbench -i" has filled, until stop is called or the test ends. It
// returns when rows are written.
func (c *Cluster) StartLoad(t TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { // ends with the context
		ended <- c.Pgbench(ctx, "postgres", "-n", "-c", "4", "-R", "400", "-T", "600")
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	for {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("pgbench ended: %v", err)
		default:
		}
		written, err := c.SQL(ctx, "postgres", "SELECT count(*) > 0 FROM pgbench_history")
		if err != nil {
			t.Fatalf("%v", err)
		}
		if written == "t" {
			return stop
		}
	}
}

// StartDDL has relations come, grow, be truncated, rewritten and dropped, databases
// too, and from PostgreSQL 15 on in-place tablespaces, until stop is called or the
// test ends. It leaves the table churned behind.
func (c *Cluster) StartDDL(t TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.SQL(ctx, "postgres", "CREATE TABLE IF NOT EXISTS churned (g int, filler text)"); err != nil {
		t.Fatalf("%v", err)
	}
	ended := make(chan struct{})
	go func() { // ends with the context
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := c.SQL(ctx, "postgres", c.ddl(i)); err != nil && ctx.Err() == nil {
				t.Errorf("round %d of DDL: %v", i, err)
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// ddl is one round of StartDDL. What a round that was cut short has left is dropped
// first: the next StartDDL counts from 0 again.
func (c *Cluster) ddl(round int) string {
	const everywhere = `
		DROP TABLE IF EXISTS t_%[1]d, u_%[1]d;
		CREATE TABLE t_%[1]d AS SELECT g, repeat('y', 200) AS filler FROM generate_series(1, 3000) g;
		CREATE UNLOGGED TABLE u_%[1]d AS SELECT g FROM generate_series(1, 1000) g;
		CREATE INDEX ON t_%[1]d (g);
		ALTER TABLE u_%[1]d SET LOGGED;
		ALTER TABLE t_%[1]d SET UNLOGGED;
		TRUNCATE churned;
		INSERT INTO churned SELECT g, repeat('z', 100) FROM generate_series(1, 5000) g;
		DELETE FROM churned WHERE g %% 2 = 0;
		VACUUM FULL churned;
		DROP DATABASE IF EXISTS d_%[1]d;
		CREATE DATABASE d_%[1]d %[2]s;
		DROP TABLE t_%[1]d, u_%[1]d;
		CHECKPOINT;
		VACUUM churned;
		DROP DATABASE d_%[1]d;`
	const inPlace = `
		SET allow_in_place_tablespaces = on;
		DROP TABLE IF EXISTS in_s_%[1]d;
		DROP TABLESPACE IF EXISTS s_%[1]d;
		CREATE TABLESPACE s_%[1]d LOCATION '';
		CREATE TABLE in_s_%[1]d TABLESPACE s_%[1]d AS SELECT g FROM generate_series(1, 1000) g;
		DROP TABLE in_s_%[1]d;
		DROP TABLESPACE s_%[1]d;`
	if c.Programs.Major < 15 {
		return fmt.Sprintf(everywhere, round, "")
	}
	strategy := []string{"STRATEGY wal_log", "STRATEGY file_copy"}[round%2]
	return fmt.Sprintf(everywhere, round, strategy) + fmt.Sprintf(inPlace, round)
}

// BackupFunctions are the functions that a role needs the right to call, for a backup
// of a running server.
func (p Programs) BackupFunctions() string {
	if p.Major >= 15 {
		return "pg_backup_start(text, boolean), pg_backup_stop(boolean)"
	}
	return "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)"
}

// CheckLoad holds a cluster that was started from a backup against what pgbench keeps
// true, and has pg_amcheck look at every relation, where the installation has it.
func (c *Cluster) CheckLoad(ctx context.Context) error {
	const balances = `SELECT count(DISTINCT s) FROM (VALUES
		((SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts)),
		((SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches)),
		((SELECT coalesce(sum(tbalance), 0) FROM pgbench_tellers)),
		((SELECT coalesce(sum(delta), 0) FROM pgbench_history))) v(s)`
	sums, err := c.SQL(ctx, "postgres", balances)
	switch {
	case err != nil:
		return err
	case sums != "1":
		return fmt.Errorf("the balances have %s different sums", sums)
	case !c.Programs.Has("pg_amcheck"): // PostgreSQL 13, or a package without it
		return nil
	}
	_, err = c.Programs.Run(ctx, "pg_amcheck", "-h", c.SocketDir, "-p", strconv.Itoa(c.Port), "-U", "postgres",
		"--all", "--install-missing", "--heapallindexed")
	return err
}
