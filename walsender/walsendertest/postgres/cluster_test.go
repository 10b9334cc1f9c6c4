package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

func TestCluster(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{
		Checksums:        true,
		GroupAccess:      true,
		WALSegmentSizeMB: 1,
		Settings:         map[string]string{"autovacuum": "off", "application_name": `it's a \ path`},
	})
	must(t, c.Start(ctx))

	const settings = `show data_checksums; show wal_segment_size; show data_directory_mode;
		show autovacuum; show application_name; show fsync;`
	// psql sets application_name itself; what the file says is in pg_file_settings.
	want := "on\n1MB\n0750\noff\npsql\noff"
	if diff := cmp.Diff(want, query(t, c, "postgres", settings)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got := query(t, c, "postgres", `select setting from pg_file_settings where name = 'application_name'`); got != `it's a \ path` {
		t.Errorf("application_name in postgresql.conf is %q", got)
	}
	if got := state(t, c); got != "in production" {
		t.Errorf("state of a running cluster is %q", got)
	}

	must(t, c.Stop(ctx, postgres.Fast))
	if got := state(t, c); got != "shut down" {
		t.Errorf("state of a stopped cluster is %q", got)
	}
	info, err := os.Stat(c.Dir)
	must(t, err)
	if got := info.Mode().Perm(); got != 0o750 {
		t.Errorf("mode of the data directory is %v, want 0750", got)
	}
}

func TestDefaults(t *testing.T) {
	p := postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{})
	must(t, c.Start(t.Context()))
	got := query(t, c, "postgres", `show data_checksums; show wal_segment_size; show data_directory_mode;
		select current_setting('server_version_num')::int / 10000; show listen_addresses`)
	if want := fmt.Sprintf("off\n16MB\n0700\n%d\n", p.Major); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStandby(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, primary.Start(ctx))
	query(t, primary, "postgres", `create table t as select generate_series(1, 10) i; create unlogged table u as select 1`)
	standby := primary.NewStandby(t)
	must(t, standby.Start(ctx))

	got, err := standby.Fingerprint(ctx)
	must(t, err)
	if len(got) != 1 || got["postgres/public.t"].Rows != 10 {
		t.Errorf("fingerprint of the standby is %v, want public.t with 10 rows and nothing else", got)
	}
	must(t, standby.Stop(ctx, postgres.Fast))
	if got := state(t, standby); got != "shut down in recovery" {
		t.Errorf("state of the stopped standby is %q", got)
	}
	must(t, standby.Start(ctx))
	must(t, standby.Promote(ctx))
	if got := query(t, standby, "postgres", `select pg_is_in_recovery()`); got != "f" {
		t.Errorf("pg_is_in_recovery() = %s after the promotion", got)
	}
}

func TestFingerprint_Copy(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{})
	must(t, c.Start(ctx))
	query(t, c, "postgres", `create database "a ""b'"`)
	query(t, c, `a "b'`, `create schema "s'1"; create table "s'1"."T ""x" (t text, v float8); insert into "s'1"."T ""x" values ('x', 0.1), (null, null);
		create table parent (k int) partition by list (k); create table child partition of parent for values in (1); insert into parent values (1), (1);
		create materialized view m as select 1 i; create unlogged table u as select generate_series(1, 3); create table empty ()`)
	must(t, c.Pgbench(ctx, "postgres", "-i", "-q", "-s", "1"))

	before, err := c.Fingerprint(ctx)
	must(t, err)
	rows := make(map[string]string)
	for name, table := range before {
		rows[name] = fmt.Sprint(table.Rows, table.Unlogged)
	}
	want := map[string]string{
		`a "b'/s'1.T "x`: "2 false", `a "b'/public.child`: "2 false", `a "b'/public.m`: "1 false", `a "b'/public.u`: "3 true", `a "b'/public.empty`: "0 false",
		"postgres/public.pgbench_accounts": "100000 false", "postgres/public.pgbench_branches": "1 false",
		"postgres/public.pgbench_tellers": "10 false", "postgres/public.pgbench_history": "0 false",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows and persistence (-want +got):\n%s", diff)
	}

	must(t, c.Stop(ctx, postgres.Fast))
	dir := filepath.Join(p.TempDir(t), "copy")
	if _, err := p.Run(ctx, "/bin/cp", "-a", c.Dir, dir); err != nil {
		t.Fatal(err)
	}
	duplicate := p.OpenCluster(t, dir)
	must(t, duplicate.Start(ctx))
	must(t, c.Start(ctx)) // side by side
	after, err := duplicate.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the copy differs from its original (-original +copy):\n%s", diff)
	}
	query(t, duplicate, "postgres", `update pgbench_tellers set tbalance = 1 where tid = 7`)
	after, err = duplicate.Fingerprint(ctx)
	must(t, err)
	if after["postgres/public.pgbench_tellers"] == before["postgres/public.pgbench_tellers"] {
		t.Error("one changed row does not change the fingerprint")
	}
}

func TestClose_LeavesTheOriginalOfACopyAlone(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{})
	must(t, c.Start(ctx))
	dir := filepath.Join(p.TempDir(t), "copy")
	if _, err := p.Run(ctx, "/bin/cp", "-a", c.Dir, dir); err != nil {
		t.Fatal(err)
	}
	duplicate, err := p.At(dir) // with the postmaster.pid of the running server
	must(t, err)
	must(t, duplicate.Close())
	query(t, c, "postgres", `select 1`)
	if _, err := os.Stat(duplicate.SocketDir); !os.IsNotExist(err) {
		t.Errorf("directory of the socket after Close: %v", err)
	}
	must(t, c.Close())
	if got := state(t, c); got != "in production" {
		t.Errorf("state after Close is %q: it was not stopped as by a crash", got)
	}
	must(t, c.Close())
}

func TestErrors(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{Settings: map[string]string{"shared_buffers": "nonsense"}})
	expect(t, c.Start(ctx), "the server's log:", `invalid value for parameter "shared_buffers": "nonsense"`)
	must(t, c.Configure(map[string]string{"shared_buffers": "16MB"}))
	must(t, c.Start(ctx))

	_, err := c.SQL(ctx, "postgres", "select 1; select nosuch; select 2")
	expect(t, err, "psql", `column "nosuch" does not exist`)
	_, err = c.SQL(ctx, "nosuch", "select 1")
	expect(t, err, `database "nosuch" does not exist`)
	_, err = p.Init(ctx, c.Dir, postgres.InitOptions{})
	expect(t, err, "initdb", "exists but is not empty")
	expect(t, c.Promote(ctx), "server is not in standby mode")
	must(t, c.Stop(ctx, postgres.Immediate))
	expect(t, c.Stop(ctx, postgres.Fast), "pg_ctl", "Is server running?")
}

func query(t *testing.T, c *postgres.Cluster, database, sql string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), database, sql)
	must(t, err)
	return out
}

func state(t *testing.T, c *postgres.Cluster) string {
	t.Helper()
	data, err := c.ControlData(t.Context())
	must(t, err)
	return data["Database cluster state"]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error without %q: %v", part, err)
		}
	}
}

// Clusters of the same options are copies of one, which nobody's settings get into.
func TestNewCluster_Identifier(t *testing.T) {
	p := postgres.Require(t)
	first := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"port": "1"}})
	second := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	foreign := p.NewForeignCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	const label = "Database system identifier"
	of := func(c *postgres.Cluster) string {
		data, err := c.ControlData(t.Context())
		must(t, err)
		return data[label]
	}
	if of(first) == "" || of(first) != of(second) || of(first) == of(foreign) {
		t.Errorf("system identifiers are %s, %s, of the foreign cluster %s", of(first), of(second), of(foreign))
	}
	conf, err := os.ReadFile(filepath.Join(second.Dir, "postgresql.conf"))
	must(t, err)
	if strings.Contains(string(conf), "port = '1'") {
		t.Error("the second cluster has the first one's settings")
	}
}
