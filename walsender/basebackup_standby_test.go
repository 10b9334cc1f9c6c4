package walsender_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestBaseBackup_9_1_Standby_Long has pg_basebackup copy a standby that was stopped, with a
// tablespace in place: the copy recovers, by its label.
func TestBaseBackup_9_1_Standby_Long(t *testing.T) {
	longtest.Mark(t)
	ctx, p := t.Context(), postgres.RequireMajor(t, 15)
	primary := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{
		"autovacuum": "off", "allow_in_place_tablespaces": "on"}})
	must(t, primary.Start(ctx))
	sql(t, primary, "create tablespace inside location ''")
	sql(t, primary, "create table t tablespace inside as select generate_series(1, 20000) i")
	standby := primary.NewStandby(t)
	must(t, standby.Start(ctx))
	sql(t, primary, "insert into t select generate_series(1, 20000)")
	awaitReplay(t, standby, sql(t, primary, "select pg_current_wal_flush_lsn()"))
	must(t, standby.Stop(ctx, postgres.Fast))
	addr, conn := serveDirectory(t, standby.Dir, datadir.Options{})
	c := &stoppedCluster{Cluster: standby, addr: addr, conn: conn}
	for _, options := range [][]string{nil, {"-X", "fetch"}} {
		dir := c.pgBaseBackup(t, options...)
		c.verify(t, dir)
		label, err := os.ReadFile(filepath.Join(dir, "backup_label"))
		must(t, err)
		if !regexp.MustCompile("(?m)^BACKUP FROM: standby$").Match(label) {
			t.Errorf("label:\n%s", label)
		}
		must(t, os.Remove(filepath.Join(dir, "standby.signal")))
		copied := p.OpenCluster(t, dir)
		must(t, copied.Start(ctx))
		if got := sql(t, copied, "select count(*) from t"); got != "40000" {
			t.Errorf("%v: the copy has %s rows", options, got)
		}
		must(t, copied.Stop(ctx, postgres.Fast))
	}
	archives := c.pgBaseBackup(t, "-F", "t")
	if !exists(filepath.Join(archives, "base.tar")) || !exists(filepath.Join(archives, "pg_wal.tar")) {
		t.Error("archives are missing")
	}
}

// TestStartReplication_9_2_Standby_Long makes a standby of a stopped cluster by pg_basebackup
// -R. The standby comes to where the cluster is stopped next, by a stream from this server.
func TestStartReplication_9_2_Standby_Long(t *testing.T) {
	longtest.Mark(t)
	ctx := t.Context()
	c := newStoppedCluster(t, postgres.RequireMajor(t, 15))
	dir := c.pgBaseBackup(t, c.mapped(t, "-R")...)
	must(t, c.Start(ctx))
	sql(t, c.Cluster, "create table since_the_backup as select 42 as answer")
	must(t, c.Stop(ctx, postgres.Fast))

	standby := c.Programs.OpenCluster(t, dir)
	must(t, standby.Start(ctx))
	end := value(t, connect(t, c.addr, "postgres").query("IDENTIFY_SYSTEM"), 2)
	awaitReplay(t, standby, end)
	if answer := sql(t, standby, "select answer from since_the_backup"); answer != "42" {
		t.Errorf("the standby has %q", answer)
	}
	if status := sql(t, standby, "select status from pg_stat_wal_receiver"); status != "streaming" {
		t.Errorf("the WAL receiver is %q", status)
	}
	must(t, standby.Stop(ctx, postgres.Fast))
}

// awaitReplay waits until a standby has replayed WAL up to a position.
func awaitReplay(t *testing.T, standby *postgres.Cluster, end string) {
	t.Helper()
	for sql(t, standby, "select pg_last_wal_replay_lsn() >= '"+end+"' from pg_sleep(0.05)") != "t" {
		if t.Context().Err() != nil {
			t.Fatal("the standby does not come to where the cluster is")
		}
	}
}
