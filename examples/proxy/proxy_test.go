package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPostgres starts a cluster with the roles of package livecluster's documentation.
func newPostgres(t *testing.T) *postgres.Cluster {
	t.Helper()
	programs := postgres.Require(t)
	c := programs.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "1GB"}})
	must(t, c.Start(t.Context()))
	functions := "pg_backup_start(text, boolean), pg_backup_stop(boolean)"
	if programs.Major < 15 {
		functions = "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)"
	}
	_, err := c.SQL(t.Context(), "postgres", `CREATE ROLE backup LOGIN; GRANT EXECUTE ON FUNCTION `+functions+` TO backup;
		CREATE ROLE passer LOGIN REPLICATION; CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n`)
	must(t, err)
	return c
}

// start runs the proxy until it is stopped, or the test ends, and tells its address.
func start(t *testing.T, c *postgres.Cluster, listen string) (address string, stop func()) {
	t.Helper()
	as := func(role string) string {
		return strings.Replace(c.ConnString("postgres"), "user=postgres", "user="+role, 1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	said, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, options{
			dir: c.Dir, listen: listen, deny: "drop_replication_slot,BASE_BACKUP",
			cluster: as("backup"), passThrough: as("passer"),
		}, log.New(out, "", 0))
		out.Close()
	}()
	lines := bufio.NewScanner(said)
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), "listening on ")
		t.Log(lines.Text())
	}
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines.Scan() {
			t.Log(lines.Text())
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		must(t, <-done)
		<-logged
	})
	t.Cleanup(stop)
	return address, stop
}

func TestProxy(t *testing.T) {
	c := newPostgres(t)
	socketDir := c.Programs.TempDir(t)
	for name, listen := range map[string]string{"tcp": "127.0.0.1:0", "unix": socketDir} {
		t.Run(name, func(t *testing.T) {
			address, stop := start(t, c, listen)
			host, port, isTCP := strings.Cut(address, ":")
			if !isTCP {
				host, port = socketDir, "5433"
			}
			through := "host=" + host + " port=" + port + " user=postgres dbname=postgres"
			t.Run("SQL", func(t *testing.T) { testSQL(t, through) })
			t.Run("replication", func(t *testing.T) { testReplication(t, through) })
			t.Run("backup", func(t *testing.T) { testBackup(t, c.Programs, through) })
			t.Run("shutdown", func(t *testing.T) { testShutdown(t, through, stop) })
		})
	}
}

func connect(t *testing.T, connString string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), connString)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the end of the test
	return conn
}

// ask is the first value of the answer, and the SQLSTATE if that is an error.
func ask(t *testing.T, conn *pgconn.PgConn, command string) (value, code string) {
	t.Helper()
	results, err := conn.Exec(t.Context(), command).ReadAll()
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "", refused.Code
	}
	must(t, err)
	return string(results[0].Rows[0][0]), ""
}

func testSQL(t *testing.T, through string) {
	conn := connect(t, through)
	if sum, code := ask(t, conn, "SELECT sum(n) FROM numbers"); sum != "500500" {
		t.Errorf("sum %q, error %q", sum, code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, "SELECT pg_sleep(600)").ReadAll()
		answer <- err
	}()
	for {
		_ = conn.CancelRequest(ctx) // it may come before the query: the next one does not
		select {
		case err := <-answer:
			if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "57014" {
				t.Errorf("a cancelled query ended with %v", err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func testReplication(t *testing.T, through string) {
	conn := connect(t, through+" replication=true")
	if version, code := ask(t, conn, "SHOW server_version_num"); version == "" {
		t.Errorf("SHOW: %s", code)
	}
	if _, code := ask(t, conn, "DROP_REPLICATION_SLOT x"); code != "42501" {
		t.Errorf("a denied command: %q", code)
	}
	if _, code := ask(t, conn, "CREATE_REPLICATION_SLOT x TEMPORARY PHYSICAL"); code != "" {
		t.Errorf("a command that is passed on: %s", code)
	}
}

func testBackup(t *testing.T, programs postgres.Programs, through string) {
	config, err := pgconn.ParseConfig(through)
	must(t, err)
	dir := filepath.Join(programs.TempDir(t), "copy")
	_, err = client.Backup(t.Context(), client.Options{
		ConnConfig: config, Dir: dir, Jobs: 3, FastCheckpoint: true, NoSync: true,
	})
	must(t, err)
	restored := programs.OpenCluster(t, dir)
	must(t, restored.Start(t.Context()))
	sum, err := restored.SQL(t.Context(), "postgres", "SELECT sum(n) FROM numbers")
	must(t, err)
	if sum != "500500" {
		t.Errorf("the numbers of the restored cluster add up to %s", sum)
	}
}

// testShutdown: replication sessions are told why they end (§1.9), the others just end.
func testShutdown(t *testing.T, through string, stop func()) {
	ordinary, replication := connect(t, through), connect(t, through+" replication=true")
	stop()
	refused, ok := errors.AsType[*pgconn.PgError](replication.WaitForNotification(t.Context()))
	if !ok || refused.Code != "57P01" {
		t.Errorf("a replication session ended with %v", refused)
	}
	if ordinary.WaitForNotification(t.Context()) == nil {
		t.Error("an ordinary session goes on")
	}
}

// TestProxy_Malformed: PostgreSQL's words for what is no startup packet come from the
// server.
func TestProxy_Malformed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	p := &proxy{server: &walsender.Server{Cluster: walsendertest.Primary()}}
	go func() { done <- p.serve(ctx, listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0, 0, 0, 9, 0, 2, 0, 0, 0}) // protocol 2.0
	must(t, err)
	answer, err := io.ReadAll(conn)
	must(t, err)
	if !strings.Contains(string(answer), "0A000") {
		t.Errorf("the answer is %q", answer)
	}
	stop()
	must(t, <-done)
}

func TestListen_Loopback(t *testing.T) {
	if _, err := listen("0.0.0.0:0"); err == nil {
		t.Error("listens where everybody can connect to")
	}
}
