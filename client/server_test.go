package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// serve serves the stopped cluster in dir until the test ends, and says how to get
// there.
func serve(t *testing.T, dir string, server *walsender.Server) *pgconn.Config {
	t.Helper()
	cluster, err := datadir.Open(dir, datadir.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	server.Cluster = cluster
	return listen(t, server)
}

// listen runs the server until the test ends, and says how to get there.
func listen(t *testing.T, server *walsender.Server) *pgconn.Config {
	t.Helper()
	return connConfig(t, client.ServeTCP(t, server))
}

func connConfig(t *testing.T, address net.Addr) *pgconn.Config {
	t.Helper()
	a := address.(*net.TCPAddr)
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=postgres sslmode=disable", a.Port))
	must(t, err)
	return config
}

func TestServer_Sample(t *testing.T) {
	for name, sample := range map[string]walsendertest.Sample{
		"primary":         {WALSegmentSize: 1 << 20, SmallFiles: 500, Unlogged: true, OddNames: true},
		"standby":         {WALSegmentSize: 1 << 20, State: controlfile.StateShutDownInRecovery, Timeline: 2},
		"group access 17": {WALSegmentSize: 1 << 20, GroupAccess: true, Version: 17},
		"in-place":        {WALSegmentSize: 1 << 20, Tablespaces: []walsendertest.SampleTablespace{{OID: 16400}}, Version: 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := filepath.Join(t.TempDir(), "source")
			must(t, sample.Write(source))
			// The sessions of the first backup may still be there when the second connects.
			config := serve(t, source, &walsender.Server{MaxWALSenders: 20})
			var manifests [2][]manifest.File
			for i, jobs := range []int{1, 8} {
				dir := filepath.Join(t.TempDir(), "copy")
				result, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: jobs})
				must(t, err)
				if result.Files < 40 {
					t.Errorf("%d files in the result", result.Files)
				}
				report, err := client.Verify(t.Context(), dir, client.VerifyOptions{Jobs: jobs})
				must(t, err)
				if len(report.Problems) > 0 {
					t.Errorf("problems: %v", report.Problems)
				}
				manifests[i] = manifestFiles(t, dir)
			}
			if diff := cmp.Diff(manifests[0], manifests[1]); diff != "" {
				t.Errorf("the manifest depends on the number of jobs (-1 +8):\n%s", diff)
			}
		})
	}
}

// manifestFiles is what the manifest lists but for the label, which holds the time.
func manifestFiles(t *testing.T, dir string) []manifest.File {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "backup_manifest"))
	must(t, err)
	defer f.Close()
	m, err := manifest.Read(f)
	must(t, err)
	return slices.DeleteFunc(m.Files, func(f manifest.File) bool { return f.Path == "backup_label" })
}

// copyOf says where a backup goes, and finds out what is there after it.
func copyOf(t *testing.T) (dir string, isThere func() bool) {
	dir = filepath.Join(t.TempDir(), "copy")
	return dir, func() bool {
		_, err := os.Lstat(dir)
		return !errors.Is(err, os.ErrNotExist)
	}
}

func writeSample(t *testing.T, sample walsendertest.Sample) string {
	t.Helper()
	sample.WALSegmentSize = 1 << 20
	dir := filepath.Join(t.TempDir(), "source")
	must(t, sample.Write(dir))
	return dir
}

func expectCode(t *testing.T, err error, code string) {
	t.Helper()
	if !protocol.HasCode(err, code) {
		t.Errorf("error is %v, want SQLSTATE %s", err, code)
	}
}

func TestServer_TooManyConnections(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	config := serve(t, source, &walsender.Server{MaxWALSenders: 3})
	dir, isThere := copyOf(t)
	_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 3})
	expectCode(t, err, protocol.CodeTooManyConnections)
	if isThere() {
		t.Error("there is something left of the failed backup")
	}
	config = serve(t, source, &walsender.Server{MaxWALSenders: 3}) // one that has no session left
	_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 2})
	must(t, err)
}

func TestServer_5_7_DamagedPage(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{DamagedPages: []walsendertest.DamagedPage{{Path: "base/5/20000", Block: 2}}})
	config := serve(t, source, &walsender.Server{})
	dir, _ := copyOf(t)
	result, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 2})
	if !errors.Is(err, client.ErrChecksum) || result.Files == 0 {
		t.Errorf("error is %v, result %+v", err, result)
	}
	report, err := client.Verify(t.Context(), dir, client.VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
	dir, _ = copyOf(t)
	_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, NoVerifyChecksums: true})
	must(t, err)
}

// A backup that is slow enough is stopped, by the server or by the user, while its
// files are under way.
func TestServer_5_3_Interrupted(t *testing.T) {
	for _, who := range []string{"server", "user"} {
		t.Run(who, func(t *testing.T) {
			server := &walsender.Server{}
			config := serve(t, writeSample(t, walsendertest.Sample{}), server)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan struct{})
			end := sync.OnceFunc(func() {
				go func() {
					defer close(ended)
					if who == "server" {
						server.Shutdown(t.Context())
					} else {
						cancel()
					}
				}()
			})
			dir, isThere := copyOf(t)
			_, err := client.Backup(ctx, client.Options{ConnConfig: config, Dir: dir, Jobs: 3, MaxRate: 32, Progress: func(p client.Progress) {
				if p.Bytes > 0 {
					end()
				}
			}})
			<-ended
			if who == "user" && !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			} else if who == "server" {
				expectCode(t, err, protocol.CodeAdminShutdown)
			}
			if isThere() {
				t.Error("there is something left of the failed backup")
			}
		})
	}
}

func TestServer_TLS(t *testing.T) {
	certificates := httptest.NewTLSServer(nil)
	defer certificates.Close()
	config := serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{TLSConfig: &tls.Config{Certificates: certificates.TLS.Certificates}})
	for _, mode := range []string{"require", "prefer"} {
		encrypted, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=postgres sslmode=%s", config.Port, mode))
		must(t, err)
		var plain atomic.Int32
		encrypted.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, c net.Conn) (net.Conn, error) {
			if _, ok := c.(*tls.Conn); !ok {
				plain.Add(1)
			}
			return c, nil
		}
		dir, _ := copyOf(t)
		_, err = client.Backup(t.Context(), client.Options{ConnConfig: encrypted, Dir: dir, Jobs: 3})
		must(t, err)
		if plain.Load() > 0 {
			t.Errorf("sslmode=%s: %d connections without TLS", mode, plain.Load())
		}
	}
}

func TestServer_UnixSocket(t *testing.T) {
	server := &walsender.Server{}
	serve(t, writeSample(t, walsendertest.Sample{}), server)
	sockets, err := os.MkdirTemp("", "pg")
	must(t, err)
	defer os.RemoveAll(sockets)
	listener, err := net.Listen("unix", filepath.Join(sockets, ".s.PGSQL.5432"))
	must(t, err)
	go server.Serve(listener) // ends with the server
	config, err := pgconn.ParseConfig("host=" + sockets + " user=postgres")
	must(t, err)
	dir, _ := copyOf(t)
	_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 3})
	must(t, err)
}

func TestServer_PostgreSQLStartsFromTheCopy(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	spaces := p.TempDir(t)
	must(t, os.Mkdir(filepath.Join(spaces, "old"), 0o700))
	must(t, p.Own(spaces))
	query(t, source, "create tablespace ts location '"+filepath.Join(spaces, "old")+"'")
	query(t, source, "create table t tablespace ts as select i, repeat('x', i % 100) from generate_series(1, 20000) i; create unlogged table u as select 1 i")
	want, err := source.Fingerprint(ctx)
	must(t, err)
	must(t, source.Stop(ctx, postgres.Fast))

	config := serve(t, source.Dir, &walsender.Server{})
	dir, moved := filepath.Join(p.TempDir(t), "copy"), filepath.Join(spaces, "new")
	_, err = client.Backup(ctx, client.Options{
		ConnConfig: config, Dir: dir, Jobs: 4,
		TablespaceMap: map[string]string{filepath.Join(spaces, "old"): moved},
	})
	must(t, err)
	report, err := client.Verify(ctx, dir, client.VerifyOptions{Jobs: 2})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
	must(t, p.Own(moved))
	restored := p.OpenCluster(t, dir)
	if out, err := p.Run(ctx, "pg_verifybackup", dir); err != nil {
		t.Errorf("pg_verifybackup: %v\n%s", err, out)
	}
	must(t, restored.Start(ctx))
	got, err := restored.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content of the copy (-want +got):\n%s", diff)
	}
}

func query(t *testing.T, c *postgres.Cluster, sql string) {
	t.Helper()
	if _, err := c.SQL(t.Context(), "postgres", sql); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
