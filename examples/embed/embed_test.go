package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// backUp takes a backup of a server of package walsendertest and verifies it.
func backUp(t *testing.T, server *walsendertest.Server, dir string) client.Result {
	t.Helper()
	config, err := server.ConnConfig()
	must(t, err)
	result, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 3, NoSync: true})
	must(t, err)
	report, err := client.Verify(t.Context(), dir, client.VerifyOptions{Jobs: 2})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("the backup is not as it was taken: %v", report.Problems)
	}
	return result
}

func TestArchive_Backup(t *testing.T) {
	files, err := sampleArchive()
	must(t, err)
	cluster, err := openArchive(files)
	must(t, err)
	dir := filepath.Join(t.TempDir(), "copy")
	result := backUp(t, walsendertest.NewServer(t, cluster), dir)
	if result.WALFiles != 1 || result.HasLabel {
		t.Errorf("result %+v", result)
	}
	for _, name := range (walsendertest.Sample{}).LeftOut() {
		if name == "backup_manifest" { // the client's own
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is in the backup", name)
		}
	}
}

// TestArchive_Conformance holds the cluster to the protocol, by a case of each area of the
// kit for servers.
func TestArchive_Conformance(t *testing.T) { checkArchive(t, "*/001") }

// TestArchive_Conformance_Long is the whole kit.
func TestArchive_Conformance_Long(t *testing.T) {
	longtest.Mark(t)
	checkArchive(t)
}

func checkArchive(t *testing.T, selected ...string) {
	t.Helper()
	files, err := sampleArchive()
	must(t, err)
	cluster, err := openArchive(files)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := newServer(cluster)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Close()
		<-served
	}()
	address := listener.Addr().(*net.TCPAddr)
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=me sslmode=disable", address.Port))
	must(t, err)
	report, err := conformance.CheckServer(t.Context(), conformance.ServerOptions{Config: config, Select: selected})
	must(t, err)
	if !report.OK() {
		must(t, report.WriteTable(t.Output()))
		t.Fail()
	}
}

// TestArchive_PostgreSQL restores a real cluster from its archive.
func TestArchive_PostgreSQL(t *testing.T) {
	programs := postgres.Require(t)
	source := programs.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, source.Start(t.Context()))
	_, err := source.SQL(t.Context(), "postgres", "CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n")
	must(t, err)
	must(t, source.Stop(t.Context(), postgres.Fast))
	files, err := pack(os.DirFS(source.Dir))
	must(t, err)
	cluster, err := openArchive(files)
	must(t, err)

	dir := filepath.Join(programs.TempDir(t), "copy")
	backUp(t, walsendertest.NewServer(t, cluster), dir)
	restored := programs.OpenCluster(t, dir)
	must(t, restored.Start(t.Context()))
	sum, err := restored.SQL(t.Context(), "postgres", "SELECT sum(n) FROM numbers")
	must(t, err)
	if sum != "500500" {
		t.Errorf("the numbers of the restored cluster add up to %s", sum)
	}
}

func TestOpenArchive_Refused(t *testing.T) {
	for name, c := range map[string]struct {
		sample walsendertest.Sample
		remove string
		want   string
	}{
		"running":         {walsendertest.Sample{State: controlfile.StateInProduction}, "", "the server was not stopped"},
		"tablespace":      {walsendertest.Sample{Tablespaces: []walsendertest.SampleTablespace{{OID: 16400}}}, "", "tablespaces"},
		"no control file": {walsendertest.Sample{}, controlFile, "no data directory"},
		"no WAL":          {walsendertest.Sample{}, "pg_wal/000000010000000000000002", "000000010000000000000002 has already been removed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.sample.WALSegmentSize = 1 << 20
			must(t, c.sample.Write(dir))
			if c.remove != "" {
				must(t, os.Remove(filepath.Join(dir, c.remove)))
			}
			_, err := openArchive(os.DirFS(dir))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := openArchive(fstest.MapFS{}); err == nil {
		t.Error("an empty archive was opened")
	}
}

// TestRun runs the program and connects as it says.
func TestRun(t *testing.T) {
	said, out := io.Pipe()
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		done <- run(ctx, nil, out)
		out.Close()
	}()
	lines := bufio.NewScanner(said)
	lines.Scan()
	lines.Scan()
	_, rest, _ := strings.Cut(lines.Text(), "host=")
	host, _, _ := strings.Cut(rest, " ")
	lines.Scan()
	config, err := pgconn.ParseConfig("user=me port=5433 replication=true host=" + host)
	must(t, err)
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	must(t, err)
	results, err := conn.Exec(t.Context(), "SHOW server_version").ReadAll()
	must(t, err)
	if got := string(results[0].Rows[0][0]); got != "15" {
		t.Errorf("server_version %s", got)
	}
	must(t, conn.Close(t.Context()))
	stop()
	must(t, <-done)
}
