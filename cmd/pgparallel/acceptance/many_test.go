package acceptance_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// A thousand sessions join a backup, and are idle but one: they cost the server little memory each,
// and the one has its file. The others can leave, and the backup stops.
func TestMany_ThousandJoinedSessions_Long(t *testing.T) {
	longtest.Mark(t)
	testJoinedSessions(t, 1000)
}

// TestMany_JoinedSessions is the same with few.
func TestMany_JoinedSessions(t *testing.T) {
	testJoinedSessions(t, 40)
}

func testJoinedSessions(t *testing.T, sessions int) {
	const mostEach, most = 64, 10 << 10 // kB a session, and besides
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20}.Write(data))
	s := serve(t, data, fmt.Sprint("--max-wal-senders=", sessions+1))
	before := memory(t, s, "VmRSS")

	leader := openSession(t, s)
	id := string(query(t, leader, "START_BACKUP")[0][3])
	began := time.Now()
	joined := make([]*pgconn.PgConn, sessions)
	for i := range joined {
		joined[i] = openSession(t, s)
		query(t, joined[i], "JOIN_BACKUP '"+id+"'")
	}
	took := time.Since(began)
	grown := memory(t, s, "VmHWM") - before
	t.Logf("%d sessions joined in %v, %v each; the server has %d kB, %d kB more, %d kB each",
		sessions, took, took/time.Duration(sessions), before, grown, grown/sessions)
	if grown > sessions*mostEach+most {
		t.Errorf("%d idle sessions cost %d kB, want at most %d each and %d besides", sessions, grown, mostEach, most)
	}

	busy := joined[sessions/2]
	if rows := query(t, busy, "SEND_FILE ('base/1/20000')"); len(rows) > 0 {
		t.Errorf("a file comes with rows: %q", rows)
	}
	for _, one := range joined {
		must(t, one.Close(t.Context()))
	}
	query(t, leader, "SEND_FILE ('global/pg_control')")
	query(t, leader, "STOP_BACKUP")
	must(t, leader.Close(t.Context()))
}

// openSession is a session that is closed when the test ends.
func openSession(t *testing.T, s *server) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=5433 user=postgres replication=true", s.socketDir))
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) }) // fails where it is closed
	return conn
}

// query is the rows of the first result of a command.
func query(t *testing.T, conn *pgconn.PgConn, command string) [][][]byte {
	t.Helper()
	results, err := conn.Exec(t.Context(), command).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if len(results) == 0 {
		return nil
	}
	return results[0].Rows
}

// Many files of one database are listed, and planned by a client: a million of them in a whole
// run. A directory's names are in the server's memory while it is read, and all names in the
// client's.
func TestMany_FilesListed_Long(t *testing.T) {
	longtest.Mark(t)
	// What the kernel tells of the client's memory is at least that of this test's own
	// process, from which the client was forked.
	files, mostServer, mostClient := 100_000, 40<<10, 300<<10 // kB
	if longtest.Whole() {
		files, mostServer = 1_000_000, 120<<10
	}
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, SmallFiles: files}.Write(data))
	s := serve(t, data)
	before := memory(t, s, "VmRSS")

	began := time.Now()
	rows := countFiles(t, s)
	took := time.Since(began)
	if rows <= files {
		t.Errorf("%d rows are listed, want more than %d", rows, files)
	}
	b := succeed(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "copy"), "--dry-run", "--jobs=8"))
	grown, client := memory(t, s, "VmHWM")-before, int(b.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	t.Logf("%d rows in %v, %.0f a second; the server has %d kB, %d kB more; the client %d kB",
		rows, took, float64(rows)/took.Seconds(), before, grown, client)
	if grown >= mostServer {
		t.Errorf("the server grows by %d kB, want less than %d", grown, mostServer)
	}
	if client >= mostClient {
		t.Errorf("the client takes %d kB, want less than %d", client, mostClient)
	}
}

// MAX_RATE holds a backup over 64 connections, with 64 large files: they are never faster. How much
// slower they are depends on the machine, and is told.
func TestMany_RateOf64Connections_Long(t *testing.T) {
	longtest.Mark(t)
	const jobs, pages, rate = 64, 128, 16 << 20 // bytes a second
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, Databases: 4, Relations: jobs / 2, RelationPages: pages}.Write(data))
	s := serve(t, data, fmt.Sprint("--max-wal-senders=", jobs+1))

	began := time.Now()
	succeed(t, backup(t, s.socketDir, filepath.Join(t.TempDir(), "copy"), fmt.Sprint("--jobs=", jobs), "--max-rate=16M", "--no-sync", "--wal-method=none"))
	took := time.Since(began)
	const bytes = 4 * jobs / 2 * pages * 8192 // of the relations' main forks alone
	allowed := time.Duration(float64(bytes-rate/8) / rate * float64(time.Second))
	t.Logf("%d bytes over %d connections in %v, %.1f %% of the rate", int64(bytes), jobs, took, 100*bytes/rate/took.Seconds())
	if took < allowed {
		t.Errorf("%d bytes take %v, and need %v at the rate", int64(bytes), took, allowed)
	}
}
