package livecluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestPassThrough_Tools runs PostgreSQL's own programs through the server.
func TestPassThrough_Tools(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "1"))
	through := s.through()

	t.Run("pg_basebackup", func(t *testing.T) {
		dir := filepath.Join(s.Programs.TempDir(t), "copy")
		run(t, s, "pg_basebackup", "-d", through, "-D", dir, "-X", "stream", "-c", "fast", "--no-sync")
		run(t, s, "pg_verifybackup", dir)
		restored := s.Programs.OpenCluster(t, dir)
		must(t, restored.Start(t.Context()))
	})
	t.Run("pg_receivewal", func(t *testing.T) {
		dir := s.Programs.TempDir(t)
		run(t, s, "pg_receivewal", "-d", through, "--slot", "received", "--create-slot")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := s.Programs.Run(ctx, "pg_receivewal", "-d", through, "--slot", "received", "-D", dir, "--no-sync")
			ended <- err
		}()
		defer func() { cancel(); <-ended }()
		wait(t, "it streams", func() bool {
			const query = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND state = 'streaming'"
			return sql(t, s.Cluster, query) == "1"
		})
		before := sql(t, s.Cluster, "CREATE TABLE received (); SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
		must(t, s.Pgbench(t.Context(), "postgres", "-n", "-c", "2", "-t", "50"))
		sql(t, s.Cluster, "SELECT pg_switch_wal()")
		name := filepath.Join(dir, before)
		wait(t, "the segment is received", func() bool { _, err := os.Stat(name); return err == nil })
		want, err := os.ReadFile(filepath.Join(s.Dir, "pg_wal", before))
		must(t, err)
		got, err := os.ReadFile(name)
		must(t, err)
		if string(want) != string(got) {
			t.Errorf("segment %s differs from the cluster's", before)
		}
	})
	t.Run("psql", func(t *testing.T) {
		out := run(t, s, "psql", "-XAt", through+" replication=true", "-c", "SHOW wal_segment_size")
		if strings.TrimSpace(out) != "1MB" {
			t.Errorf("SHOW answers %q", out)
		}
		out, err := s.Programs.Run(t.Context(), "psql", "-XAt", through+" replication=database", "-c", "SELECT 1")
		if err == nil || !strings.Contains(err.Error(), "SQL is not passed through") {
			t.Errorf("SQL answers %q, %v", out, err)
		}
	})
	t.Run("target", func(t *testing.T) {
		conn := replicate(t, through)
		_, err := command(t, conn, "BASE_BACKUP ( TARGET 'server', TARGET_DETAIL '/tmp/nowhere')")
		expectCode(t, err, "0A000")
		_, err = command(t, conn, "SHOW wal_segment_size")
		must(t, err)
		if s.Programs.Major >= 15 {
			run(t, s, "pg_basebackup", "-d", through, "-t", "blackhole", "-X", "none", "-c", "fast")
		}
	})
	t.Run("pg_recvlogical", func(t *testing.T) {
		out, err := s.Programs.Run(t.Context(), "pg_recvlogical", "-d", through, "--slot", "x", "--create-slot", "-P", "test_decoding")
		if err == nil || !strings.Contains(err.Error(), "SQL is not passed through") || !strings.Contains(err.Error(), "Connect to PostgreSQL itself") {
			t.Errorf("logical replication answers %q, %v", out, err)
		}
	})
}

func run(t testing.TB, s *served, name string, args ...string) string {
	t.Helper()
	out, err := s.Programs.Run(t.Context(), name, args...)
	must(t, err)
	return out
}

func expectCode(t testing.TB, err error, code string) *pgconn.PgError {
	t.Helper()
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Code != code {
		t.Fatalf("error is %v, want SQLSTATE %s", err, code)
	}
	return e
}

// TestPassThrough_Parameters looks at what of a client's startup packet reaches
// PostgreSQL: its name, and no setting but those for its walsender (§1.4).
func TestPassThrough_Parameters(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	conn := replicate(t, s.through()+" application_name=wanderer options='-c work_mem=7MB -c wal_sender_timeout=7s'")
	if got := row(t, conn, "SHOW application_name"); got != "wanderer" {
		t.Errorf("application_name is %q", got)
	}
	if got := row(t, conn, "SHOW work_mem"); got != "4MB" {
		t.Errorf("work_mem is %q", got)
	}
	if got := row(t, conn, "SHOW wal_sender_timeout"); got != "7s" {
		t.Errorf("wal_sender_timeout is %q", got)
	}
	if got := row(t, conn, "SHOW is_superuser"); got != "off" {
		t.Errorf("is_superuser is %q", got)
	}
}

// TestPassThrough_Cancel ends a command that PostgreSQL waits at: by a CancelRequest, and
// by the client's end.
func TestPassThrough_Cancel(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, map[string]string{"checkpoint_completion_target": "0.9"}))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "2"))
	waiting := func(count string) func() bool {
		return func() bool {
			return sql(t, s.Cluster, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' AND wait_event LIKE 'Checkpoint%'") == count
		}
	}
	conn := replicate(t, s.through())
	done := make(chan error, 1)
	for _, end := range []func(){
		func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			must(t, conn.CancelRequest(ctx))
			expectCode(t, <-done, "57014")
			_, err := command(t, conn, "IDENTIFY_SYSTEM")
			must(t, err)
		},
		func() {
			must(t, conn.Conn().Close())
			<-done
		},
	} {
		go func() {
			_, err := command(t, conn, "BASE_BACKUP ( LABEL 'slow', CHECKPOINT 'spread')")
			done <- err
		}()
		wait(t, "PostgreSQL takes the checkpoint", waiting("1"))
		ended := time.Now()
		end()
		wait(t, "PostgreSQL has given up", waiting("0"))
		if took := time.Since(ended); took > 3*time.Second {
			t.Errorf("that took %v", took)
		}
	}
}

// TestPassThrough_Restart restarts PostgreSQL under an idle session, which goes on, and
// one that streams, which ends.
func TestPassThrough_Restart(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	idle := rawConnect(t, s.dir, servedPort, "whoever")
	idle.query("SHOW wal_segment_size")
	streaming := rawConnect(t, s.dir, servedPort, "whoever")
	position := sql(t, s.Cluster, "SELECT pg_current_wal_flush_lsn()")
	streaming.send(query("START_REPLICATION " + position + " TIMELINE 1"))
	streaming.until('W')
	must(t, s.Stop(t.Context(), "immediate"))
	if lines := streaming.until(0); !strings.HasPrefix(lines[len(lines)-2], `E "SFATAL`) {
		t.Errorf("the streaming session ends with %q", lines)
	}
	must(t, s.Start(t.Context()))
	if got := idle.query("SHOW wal_segment_size"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
}
