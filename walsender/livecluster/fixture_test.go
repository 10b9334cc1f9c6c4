package livecluster_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ walsender.Cluster       = (*livecluster.Cluster)(nil)
	_ walsender.WALLister     = (*livecluster.Cluster)(nil)
	_ walsender.Historian     = (*livecluster.Cluster)(nil)
	_ walsender.PassThrough   = (*livecluster.Cluster)(nil)
	_ walsender.Reopener      = (*livecluster.Cluster)(nil)
	_ walsender.BackupChecker = (*livecluster.Cluster)(nil)
)

// patience bounds what a test waits for. It is far above what anything takes.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runningSettings are those of the clusters of these tests: their WAL stays there until
// the backup has it.
var runningSettings = map[string]string{
	"wal_keep_size":                "1GB",
	"allow_in_place_tablespaces":   "on",
	"max_wal_senders":              "20",
	"log_min_messages":             "warning",
	"checkpoint_timeout":           "1h",
	"autovacuum_naptime":           "1s",
	"restart_after_crash":          "on",
	"wal_receiver_status_interval": "1s",
}

// newPrimary starts a cluster with the roles of the documentation: backup, which may
// take backups, and passer, which may replicate.
func newPrimary(t testing.TB, settings map[string]string) *postgres.Cluster {
	t.Helper()
	return startPrimary(t, settings, postgres.Programs.NewCluster)
}

// newForeignPrimary is newPrimary with a system identifier that no other has.
func newForeignPrimary(t testing.TB) *postgres.Cluster {
	t.Helper()
	return startPrimary(t, nil, postgres.Programs.NewForeignCluster)
}

func startPrimary(t testing.TB, settings map[string]string, create func(postgres.Programs, postgres.TB, postgres.InitOptions) *postgres.Cluster) *postgres.Cluster {
	t.Helper()
	programs := postgres.Require(t)
	all := map[string]string{}
	for _, m := range []map[string]string{runningSettings, settings} {
		for name, value := range m {
			all[name] = value
		}
	}
	c := create(programs, t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: all})
	must(t, c.Start(t.Context()))
	sql(t, c, `CREATE ROLE backup LOGIN;
		GRANT EXECUTE ON FUNCTION `+programs.BackupFunctions()+` TO backup;
		CREATE ROLE passer LOGIN REPLICATION`)
	return c
}

func sql(t testing.TB, c *postgres.Cluster, statements string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), "postgres", statements)
	must(t, err)
	return out
}

// as is a connection string for the role.
func as(c *postgres.Cluster, role string) string {
	return strings.Replace(c.ConnString("postgres"), "user=postgres", "user="+role, 1)
}

// configFor is the configuration with the roles of newPrimary.
func configFor(t testing.TB, c *postgres.Cluster) livecluster.Config {
	return livecluster.Config{ConnString: as(c, "backup"), PassThrough: as(c, "passer"), Logger: logger(t)}
}

func logger(t testing.TB) *zap.Logger { return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)) }

// served is a running cluster and the server beside it.
type served struct {
	*postgres.Cluster
	server *walsender.Server
	dir    string // of the server's socket
}

const servedPort = 5433

// serve opens the cluster and serves it on a unix socket until the test ends.
func serve(t testing.TB, c *postgres.Cluster, change ...func(*walsender.Server)) *served {
	t.Helper()
	live, err := livecluster.Open(t.Context(), c.Dir, configFor(t, c))
	must(t, err)
	return serveCluster(t, c, live, change...)
}

func serveCluster(t testing.TB, c *postgres.Cluster, live *livecluster.Cluster, change ...func(*walsender.Server)) *served {
	t.Helper()
	s := &served{
		Cluster: c,
		server:  &walsender.Server{Cluster: live, MaxWALSenders: 30, Logger: logger(t)},
		dir:     c.Programs.TempDir(t),
	}
	for _, change := range change {
		change(s.server)
	}
	listener, err := net.Listen("unix", filepath.Join(s.dir, ".s.PGSQL.5433"))
	must(t, err)
	must(t, c.Programs.Own(s.dir))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.server.Serve(listener) // always ErrServerClosed
	}()
	t.Cleanup(func() {
		s.server.Close()
		<-done
		must(t, live.Close())
	})
	return s
}

// through is a connection string for the server beside the cluster.
func (s *served) through() string {
	return strings.NewReplacer(s.SocketDir, s.dir, "port=5432", "port=5433").Replace(s.ConnString("postgres"))
}

// backupTo takes a backup with the client, by so many workers.
func (s *served) backupTo(ctx context.Context, t testing.TB, dir string, change func(*client.Options)) (client.Result, error) {
	t.Helper()
	config, err := pgconn.ParseConfig(s.through())
	must(t, err)
	o := client.Options{ConnConfig: config, Dir: dir, Jobs: 4, FastCheckpoint: true, NoSync: true}
	o.Log = func(e client.Event) {
		if e.Level >= client.LevelWarning {
			t.Logf("client: %s", e.Message)
		}
	}
	if change != nil {
		change(&o)
	}
	return client.Backup(ctx, o)
}

// replicate opens a replication connection, directly or through the server.
func replicate(t testing.TB, connString string) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), connString+" replication=true")
	must(t, err)
	t.Cleanup(func() { closeConn(conn) })
	return conn
}

func closeConn(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = conn.Close(ctx) // the end of the test
	<-conn.CleanupDone()
}

// command runs a command and returns its results.
func command(t testing.TB, conn *pgconn.PgConn, text string) ([]*pgconn.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return conn.Exec(ctx, text).ReadAll()
}

// wait waits until the condition holds.
func wait(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: waited in vain", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// slow makes a backup last.
func slow(o *client.Options) { o.MaxRate = 4096 }
