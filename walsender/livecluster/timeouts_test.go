package livecluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestBackup_7_2_TimeLimits takes a backup each of whose phases lasts longer than each
// limit that PostgreSQL has for a session: the checkpoint, the copy, the archiving.
// Meanwhile the leader's connection to the walsender waits, and that of a stream
// between its slot and its start.
func TestBackup_7_2_TimeLimits(t *testing.T) {
	t.Parallel()
	const limit, phase = "700ms", 1500 * time.Millisecond
	archived := filepath.Join(postgres.Require(t).TempDir(t), "go")
	c := newPrimary(t, map[string]string{
		"checkpoint_completion_target": "0.9",
		"archive_mode":                 "on",
		"archive_command":              fmt.Sprintf("until test -e %s; do sleep 0.1; done", archived),
	})
	s := serve(t, c)
	sql(t, c, "CREATE TABLE brief AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
	path := sql(t, c, "SELECT pg_relation_filepath('brief')")
	limits := []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
	if c.Programs.Major >= 14 {
		limits = append(limits, "idle_session_timeout")
	}
	if c.Programs.Major >= 17 {
		limits = append(limits, "transaction_timeout")
	}
	for _, name := range limits {
		for _, at := range []string{"ROLE backup", "ROLE passer", "DATABASE postgres"} {
			sql(t, c, fmt.Sprintf("ALTER %s SET %s = '%s'", at, name, limit))
		}
		sql(t, c, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", name, limit))
	}
	sql(t, c, "ALTER ROLE backup SET client_min_messages = 'error'; ALTER ROLE postgres SET statement_timeout = 0; SELECT pg_reload_conf()")

	leader, stream := replicate(t, s.through()), replicate(t, s.through())
	row(t, leader, "SHOW wal_segment_size")
	started := make(chan error, 1)
	go func() {
		_, err := command(t, leader, "START_BACKUP") // spread
		started <- err
	}()
	wait(t, "the checkpoint is awaited", func() bool { return backends(t, c) == "1" })
	time.Sleep(phase)
	sql(t, c, "CHECKPOINT") // hurries it
	must(t, <-started)

	row(t, stream, `CREATE_REPLICATION_SLOT "held" TEMPORARY PHYSICAL RESERVE_WAL`)
	time.Sleep(phase)
	must(t, sendFile(t, leader, path))
	if c.Programs.Major >= 15 { // older ones cannot tell of a slot
		row(t, stream, "READ_REPLICATION_SLOT held")
	}
	must(t, sendFile(t, leader, "global/pg_control"))
	row(t, leader, "SHOW work_mem")

	stopped := make(chan error, 1)
	go func() {
		_, err := command(t, leader, "STOP_BACKUP")
		stopped <- err
	}()
	time.Sleep(phase)
	must(t, os.WriteFile(archived, nil, 0o644))
	must(t, <-stopped)
	row(t, leader, "SHOW work_mem")

	log, err := os.ReadFile(c.LogFile())
	must(t, err)
	for _, word := range []string{"ERROR", "FATAL"} {
		if strings.Contains(string(log), word) {
			t.Errorf("PostgreSQL's log has a line of %s:\n%s", word, log)
		}
	}
}

// TestPassThrough_4_9_IdleEnds ends connections to the walsender that only wait, in a
// backup: it goes on, and the next command gets another.
func TestPassThrough_4_9_IdleEnds(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	walsenders := func() string {
		return sql(t, s.Cluster, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'")
	}
	leader, holder := replicate(t, s.through()), replicate(t, s.through())
	idle := replicate(t, s.through())
	for _, session := range []*pgconn.PgConn{leader, idle} {
		row(t, session, "SHOW work_mem")
	}
	row(t, leader, "START_BACKUP FAST")
	row(t, holder, `CREATE_REPLICATION_SLOT "held" TEMPORARY PHYSICAL`)
	sql(t, s.Cluster, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'")
	wait(t, "they are gone", func() bool { return walsenders() == "0" })
	must(t, sendFile(t, leader, "PG_VERSION"))
	row(t, leader, "SHOW work_mem")
	row(t, leader, "STOP_BACKUP")
	_, err := command(t, holder, "READ_REPLICATION_SLOT held")
	if e := expectCode(t, err, "57P01"); e.Severity != "FATAL" {
		t.Errorf("the session with a slot ends with %v", e)
	}

	must(t, s.Stop(t.Context(), postgres.Fast))
	must(t, s.Start(t.Context()))
	row(t, idle, "IDENTIFY_SYSTEM")
	row(t, leader, "START_BACKUP FAST")
	row(t, leader, "STOP_BACKUP")
}
