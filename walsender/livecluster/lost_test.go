package livecluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// backends counts the server's sessions that are in backup mode, or on their way.
func backends(t testing.TB, c *postgres.Cluster) string {
	t.Helper()
	return sql(t, c, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'backup'")
}

// startBackup begins a backup and returns its leader's session and its id.
func startBackup(t testing.TB, s *served) (leader *pgconn.PgConn, id string) {
	t.Helper()
	leader = replicate(t, s.through())
	fields := strings.Split(row(t, leader, "START_BACKUP LABEL 'it''s a \\ test' FAST"), "|")
	return leader, fields[3]
}

// longFile makes a relation of some 60 MB, and returns the path of its file.
func longFile(t testing.TB, c *postgres.Cluster) string {
	t.Helper()
	return sql(t, c, "CREATE TABLE long AS SELECT repeat('x', 1000) AS filler FROM generate_series(1, 50000); SELECT pg_relation_filepath('long')")
}

// stuckFile joins the backup and asks for a file that it does not read to the end,
// slowed down so that it lasts.
func stuckFile(t testing.TB, s *served, id, path string) <-chan error {
	t.Helper()
	worker := replicate(t, s.through())
	_, err := command(t, worker, "JOIN_BACKUP '"+id+"'")
	must(t, err)
	ended := make(chan error, 1)
	first := make(chan struct{})
	go func() {
		_, err := worker.CopyTo(t.Context(), &signalWriter{first: first}, fmt.Sprintf("SEND_FILE ('%s')", path))
		ended <- err
	}()
	<-first
	return ended
}

// signalWriter tells when the first bytes are there.
type signalWriter struct {
	first chan struct{}
	told  bool
}

func (w *signalWriter) Write(p []byte) (int, error) {
	if !w.told {
		close(w.first)
		w.told = true
	}
	return len(p), nil
}

// TestBackup_3_5_SessionLost takes the SQL session of a backup away while a file is
// sent: everybody learns of it within a second.
func TestBackup_3_5_SessionLost(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*testing.T, *postgres.Cluster){
		"terminated": func(t *testing.T, c *postgres.Cluster) {
			sql(t, c, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'backup'")
		},
		"restarted": func(t *testing.T, c *postgres.Cluster) {
			must(t, c.Stop(t.Context(), postgres.Immediate))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, newPrimary(t, nil))
			path := longFile(t, s.Cluster)
			leader := replicate(t, s.through())
			fields := strings.Split(row(t, leader, "START_BACKUP FAST MAX_RATE 1024"), "|")
			ended := stuckFile(t, s, fields[3], path)
			cut(t, s.Cluster)
			lost := time.Now()
			if e := expectCode(t, <-ended, "55000"); e.Message != fmt.Sprintf("backup %q was aborted", fields[3][:8]) {
				t.Errorf("the worker gets %q", e.Message)
			}
			if took := time.Since(lost); took > time.Second {
				t.Errorf("that took %v", took)
			}
			_, err := command(t, leader, "STOP_BACKUP")
			if e := expectCode(t, err, "55000"); !strings.Contains(e.Detail, "terminating connection") {
				t.Errorf("the leader gets %q, detail %q", e.Message, e.Detail)
			}
			if name == "restarted" {
				must(t, s.Start(t.Context()))
			}
			_, err = s.backupTo(t.Context(), t, filepath.Join(t.TempDir(), "copy"), nil)
			must(t, err)
		})
	}
}

// TestBackup_3_5_LeaderLost ends the leader's session: PostgreSQL leaves backup mode.
func TestBackup_3_5_LeaderLost(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, map[string]string{"checkpoint_completion_target": "0.9"}))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "2"))

	t.Run("during the copy", func(t *testing.T) {
		leader, id := startBackup(t, s)
		ended := stuckFile(t, s, id, longFile(t, s.Cluster))
		closeConn(leader)
		if err := <-ended; err != nil { // a fast file may have been sent whole
			expectCode(t, err, "55000")
		}
		wait(t, "the session is gone", func() bool { return backends(t, s.Cluster) == "0" })
	})
	t.Run("during the checkpoint", func(t *testing.T) {
		sql(t, s.Cluster, "UPDATE pgbench_accounts SET abalance = 1")
		config, err := pgconn.ParseConfig(s.through() + " replication=true")
		must(t, err)
		leader, err := pgconn.ConnectConfig(t.Context(), config)
		must(t, err)
		leader.Frontend().SendQuery(query("START_BACKUP")) // a spread checkpoint: minutes
		must(t, leader.Frontend().Flush())
		wait(t, "the checkpoint is awaited", func() bool { return backends(t, s.Cluster) == "1" })
		gone := time.Now()
		must(t, leader.Conn().Close())
		closeConn(leader)
		wait(t, "the session is gone", func() bool { return backends(t, s.Cluster) == "0" })
		if took := time.Since(gone); took > 3*time.Second {
			t.Errorf("PostgreSQL was in backup mode for another %v", took)
		}
	})
}

// TestStartBackup_1_3_Canceled cancels START_BACKUP while it waits for the checkpoint.
func TestStartBackup_1_3_Canceled(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, map[string]string{"checkpoint_completion_target": "0.9"}))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "2"))
	leader := replicate(t, s.through())
	ended := make(chan error, 1)
	go func() {
		_, err := command(t, leader, "START_BACKUP") // a spread checkpoint: minutes
		ended <- err
	}()
	wait(t, "the checkpoint is awaited", func() bool { return backends(t, s.Cluster) == "1" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, leader.CancelRequest(ctx))
	expectCode(t, <-ended, "57014")
	if got := backends(t, s.Cluster); got != "0" {
		t.Errorf("%s sessions are left", got)
	}
	row(t, leader, "START_BACKUP FAST")
	row(t, leader, "STOP_BACKUP")
}

// TestBackup_ClusterDown asks for what needs PostgreSQL while that is stopped.
func TestBackup_ClusterDown(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	session := replicate(t, s.through())
	must(t, s.Stop(t.Context(), postgres.Fast))
	for text, code := range map[string]string{"START_BACKUP": "57P03", "SHOW work_mem": "57P03"} {
		_, err := command(t, session, text)
		expectCode(t, err, code)
	}
	_, err := pgconn.Connect(t.Context(), s.through()+" replication=true")
	if e := expectCode(t, err, "57P03"); e.Severity != "FATAL" {
		t.Errorf("a new session ends with %v", err)
	}
	must(t, s.Start(t.Context()))
	row(t, session, "START_BACKUP FAST")
	row(t, session, "STOP_BACKUP")
}

// A server that was killed leaves its postmaster.pid. Who connects then learns it at once:
// pg_isready, and libpq, which goes on to the next of its hosts.
func TestGreeting_1_5_ServerKilled(t *testing.T) {
	t.Parallel()
	s, other := serve(t, newPrimary(t, nil)), newForeignPrimary(t)
	psql := func() (string, error) {
		conninfo := strings.NewReplacer("host='", "host='"+s.dir+",", "port=", "port=5433,").Replace(other.ConnString("postgres")) + " replication=1"
		return s.Programs.Run(t.Context(), "psql", "-XAtc", "IDENTIFY_SYSTEM", conninfo)
	}
	here, err := psql()
	must(t, err)
	pidFile := filepath.Join(s.Dir, "postmaster.pid")
	left, err := os.ReadFile(pidFile)
	must(t, err)
	must(t, s.Stop(t.Context(), postgres.Immediate))
	must(t, os.WriteFile(pidFile, left, 0o600))
	must(t, s.Programs.Own(pidFile))
	wait(t, "a new session is refused", func() bool {
		conn, err := pgconn.Connect(t.Context(), s.through()+" replication=true")
		if err == nil {
			closeConn(conn)
			return false
		}
		if e := expectCode(t, err, "57P03"); e.Severity != "FATAL" {
			t.Errorf("a new session ends with %v", err)
		}
		return true
	})
	out, err := s.Programs.Run(t.Context(), "pg_isready", "-h", s.dir, "-p", "5433")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("pg_isready says %q, %v, want that connections are rejected", out, err)
	}
	if s.Programs.Major >= 14 { // libpq
		if there, err := psql(); err != nil || there == here {
			t.Errorf("libpq does not go on to the other host: %q, %v", there, err)
		}
	}
	must(t, os.Remove(pidFile))
	must(t, s.Start(t.Context()))
	if back, err := psql(); err != nil || strings.Split(back, "|")[0] != strings.Split(here, "|")[0] {
		t.Errorf("after the start: %q, %v", back, err)
	}
}

// TestServerProcess is the process of TestBackup_ServerKilled.
func TestServerProcess(t *testing.T) {
	dir := os.Getenv("LIVECLUSTER_TEST_DIR")
	if dir == "" {
		t.Skip("only runs as a process of its own")
	}
	live, err := livecluster.Open(t.Context(), dir, livecluster.Config{
		ConnString: os.Getenv("LIVECLUSTER_TEST_SQL"), PassThrough: os.Getenv("LIVECLUSTER_TEST_PASS"), Logger: zap.NewNop(),
	})
	must(t, err)
	listener, err := net.Listen("unix", os.Getenv("LIVECLUSTER_TEST_SOCKET"))
	must(t, err)
	t.Fatal((&walsender.Server{Cluster: live, MaxWALSenders: 30}).Serve(listener))
}

// TestBackup_ServerKilled kills the server in the middle of a backup: PostgreSQL leaves
// backup mode, and the client leaves nothing behind.
func TestBackup_ServerKilled(t *testing.T) {
	t.Parallel()
	c := newPrimary(t, nil)
	longFile(t, c)
	s := &served{Cluster: c, dir: t.TempDir()}
	config := configFor(t, c)
	process := serverProcess(t, map[string]string{
		"LIVECLUSTER_TEST_DIR": c.Dir, "LIVECLUSTER_TEST_SQL": config.ConnString, "LIVECLUSTER_TEST_PASS": config.PassThrough,
		"LIVECLUSTER_TEST_SOCKET": filepath.Join(s.dir, ".s.PGSQL.5433"),
	})
	wait(t, "the server serves", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, ".s.PGSQL.5433"))
		return err == nil
	})
	dir := filepath.Join(t.TempDir(), "copy")
	ended := make(chan error, 1)
	go func() {
		_, err := s.backupTo(t.Context(), t, dir, slow)
		ended <- err
	}()
	wait(t, "files are copied", func() bool { _, err := os.Stat(filepath.Join(dir, "base")); return err == nil })
	if got := backends(t, c); got != "1" {
		t.Errorf("%s sessions in backup mode", got)
	}
	must(t, process.Process.Kill())
	if err := <-ended; err == nil {
		t.Error("the backup succeeded")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the target is still there: %v", err)
	}
	wait(t, "the session is gone", func() bool { return backends(t, c) == "0" })
	_, err := serve(t, c).backupTo(t.Context(), t, filepath.Join(t.TempDir(), "copy"), nil)
	must(t, err)
}

// serverProcess runs this test program as a server process with more in its environment. It is
// killed when the test ends.
func serverProcess(t *testing.T, env map[string]string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestServerProcess$")
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	must(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	return cmd
}

// TestClose_3_5 closes a cluster with a backup that runs: the server leaves backup mode,
// and the backup cannot be stopped any more.
func TestClose_3_5(t *testing.T) {
	c := newPrimary(t, nil)
	live, err := livecluster.Open(t.Context(), c.Dir, configFor(t, c))
	must(t, err)
	_, backup, err := live.StartBackup(t.Context(), protocol.BackupRequest{Label: "l", Fast: true, Notice: func(*protocol.Error) {}})
	must(t, err)
	if n := backends(t, c); n != "1" {
		t.Errorf("%s sessions during the backup, want that of backup mode", n)
	}
	must(t, live.Close())
	wait(t, "the session is gone", func() bool { return backends(t, c) == "0" })
	if _, err := backup.Stop(t.Context(), false, nil); !protocol.HasCode(err, "55000") {
		t.Errorf("stopped after Close: %v", err)
	}
	backup.Abort()
	select {
	case lost := <-backup.Lost():
		t.Errorf("lost: %v", lost)
	default:
	}
}
