package conformance_test

import (
	"bufio"
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// TestCheckServer_Pgparallel has the server of this project pass a case of each area.
func TestCheckServer_Pgparallel(t *testing.T) { checkServer(t, oneOfEach) }

// TestCheckServer_Pgparallel_Long has the server pass every case.
func TestCheckServer_Pgparallel_Long(t *testing.T) {
	longtest.Mark(t)
	checkServer(t, nil)
}

func checkServer(t *testing.T, selected []string) {
	t.Helper()
	base := t.TempDir()
	sample := walsendertest.Sample{
		WALSegmentSize: 1 << 20, Timeline: 2, Unlogged: true,
		Tablespaces: []walsendertest.SampleTablespace{{OID: 16500, Location: base + "/it's"}, {OID: 16501}},
	}
	if err := sample.Write(base + "/data"); err != nil {
		t.Fatal(err)
	}
	config, err := pgconn.ParseConfig("user=backup port=5433 host=" + serve(t, base+"/data"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := conformance.CheckServer(t.Context(), conformance.ServerOptions{Config: config, Strict: true, Select: selected})
	if err != nil {
		t.Fatal(err)
	}
	allPass(t, report, "S-DESCRIPTOR/001") // it is about TCP
}

// serve serves a data directory with the program until the test ends. It returns the
// directory of the socket.
func serve(t *testing.T, dir string) string {
	t.Helper()
	sock, err := os.MkdirTemp("/tmp", "pgp") // a name that is short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(build(t, "github.com/pgparallel/pgparallel/cmd/pgparallel"), "serve", "-D", dir, "-k", sock, "--allow-root")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log, ready, ended := bufio.NewScanner(stderr), make(chan struct{}), make(chan struct{})
	go func() { // ends with the program, which would wait for a reader of its log
		defer close(ended)
		for log.Scan() {
			if strings.Contains(log.Text(), "ready to serve") {
				close(ready)
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("pgparallel serve: %v", err)
		}
		os.RemoveAll(sock)
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatal("pgparallel serve does not listen")
	}
	return sock
}

// TestCheckServer_Bites has servers with faults fail cases.
func TestCheckServer_Bites(t *testing.T) {
	ioError := protocol.Errorf(protocol.CodeIOError, "could not read")
	for _, test := range []struct {
		fault walsendertest.Fault
		fails string
	}{
		{walsendertest.FailCommand("LIST_TABLESPACES", 1, ioError), "S-LIST/001"},
		{walsendertest.ListedTwice("PG_VERSION"), "S-LIST/002"},
		{walsendertest.Unlisted("global/pg_control"), "S-LIST/002"},
		{walsendertest.ErrorAfterCopyDone("PG_VERSION", ioError), "S-FILE/001"},
		{walsendertest.ShortFile("global/pg_control", 100), "S-FILE/002"},
		{walsendertest.WrongID(), "S-SESSION/007"},
		{walsendertest.StopFails(ioError), "S-BACKUP/004"},
		{walsendertest.LateErrorAtStop(ioError), "S-BACKUP/004"},
		{walsendertest.RefuseConnection(1, walsendertest.StartingUp), "S-CONNECT/006"},
		{walsendertest.Announced("progress,digests"), "S-CONNECT/013"},
		{walsendertest.Announced("Descriptors"), "S-CONNECT/013"},
		{walsendertest.Announced("descriptors"), "S-DESCRIPTOR/001"},
		{walsendertest.WrongDigest("PG_VERSION"), "S-DIGEST/001"},
		{walsendertest.WrongDigest("base/1/20000"), "S-DIGEST/007"},
		{walsendertest.ShortRange("PG_VERSION", 1), "S-DIGEST/004"},
		{walsendertest.Announced(""), "S-DIGEST/009"},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			server := walsendertest.NewServer(t, walsendertest.RunningPrimary(), test.fault)
			failsCase(t, server, test.fails)
		})
	}
}

// TestCheckServer_BitesDescriptors is TestCheckServer_Bites for what a server hands over.
func TestCheckServer_BitesDescriptors(t *testing.T) {
	data := t.TempDir() + "/data"
	if err := (walsendertest.Sample{WALSegmentSize: 1 << 20}).Write(data); err != nil {
		t.Fatal(err)
	}
	const path = "PG_VERSION"
	for _, test := range []struct {
		fault walsendertest.Fault
		fails string
	}{
		{walsendertest.WrongDescriptor(path, walsendertest.NoDescriptor), "S-DESCRIPTOR/002"},
		{walsendertest.WrongDescriptor(path, walsendertest.TwoDescriptors), "S-DESCRIPTOR/003"},
		{walsendertest.WrongDescriptor(path, walsendertest.DirectoryDescriptor), "S-DESCRIPTOR/002"},
		{walsendertest.WrongDescriptor(path, walsendertest.WritableDescriptor), "S-DESCRIPTOR/002"},
		{walsendertest.WrongDescriptorSize(path, 2), "S-DESCRIPTOR/002"},
		{walsendertest.FailWhileCopied(protocol.Errorf(protocol.CodeProtocolViolation, "go on")), "S-DESCRIPTOR/004"},
		{walsendertest.FailCommand("STOP_BACKUP", 1, protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "not now")), "S-DESCRIPTOR/005"},
		{walsendertest.HandsOverSent("global/pg_control"), "S-DESCRIPTOR/006"},
		{walsendertest.HandsOverSent(path), "S-DESCRIPTOR/006"},
		{walsendertest.WrongDescriptorSize(path, 2), ""},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			cluster, err := datadir.Open(data, datadir.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			server := &walsendertest.Server{Cluster: cluster, Unix: true, Faults: []walsendertest.Fault{test.fault}, AllowUnused: test.fails == ""}
			server.StartTest(t)
			defer server.Close()
			selected := []string{test.fails}
			if test.fails == "" { // the others pass
				selected = []string{"S-DESCRIPTOR/003", "S-DESCRIPTOR/004", "S-DESCRIPTOR/005", "S-DESCRIPTOR/006"}
			}
			for _, result := range checked(t, server, conformance.ServerOptions{Select: selected}).Results {
				if fails := result.Verdict == conformance.Fail; fails != (test.fails != "") {
					t.Errorf("%s: %s %s", result.ID, result.Verdict, result.Happened)
				}
			}
		})
	}
}

// wrongBytes serves files of the right length with other bytes.
type wrongBytes struct {
	*walsendertest.Cluster
	change func([]byte)
}

func (c wrongBytes) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	f, err := c.Cluster.Open(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return wrongFile{f, c.change}, nil
}

type wrongFile struct {
	fs.File
	change func([]byte)
}

func (f wrongFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if n > 0 {
		f.change(p[:n])
	}
	return n, err
}

// TestCheckServer_BitesBytes has servers whose answers have every form and the wrong
// bytes fail cases.
func TestCheckServer_BitesBytes(t *testing.T) {
	opened := byte(0)
	for name, test := range map[string]struct {
		change func([]byte)
		fails  []string
	}{
		"zeros":        {func(p []byte) { clear(p) }, []string{"S-FILE/002", "S-FILE/008", "S-WAL/001"}},
		"never equal":  {func(p []byte) { opened++; p[0] ^= opened }, []string{"S-FILE/002", "S-FILE/007", "S-FILE/008"}},
		"a late break": {func(p []byte) { p[len(p)-1] ^= 1 }, []string{"S-FILE/008"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &walsendertest.Server{Cluster: wrongBytes{walsendertest.RunningPrimary(), test.change}}
			server.StartTest(t)
			report := checked(t, server, conformance.ServerOptions{Select: []string{"S-FILE/*", "S-WAL/*"}})
			var failed []string
			for _, result := range report.Results {
				if result.Verdict == conformance.Fail {
					failed = append(failed, result.ID)
				}
			}
			if !slices.Equal(failed, test.fails) {
				t.Errorf("failed are %v, want %v", failed, test.fails)
			}
		})
	}
}

// slowConn has a first write that takes long: pgconn, for which 15 ms are long, then reads
// ahead in a goroutine.
type slowConn struct {
	net.Conn
	once sync.Once
}

func (c *slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.once.Do(func() { time.Sleep(50 * time.Millisecond) }) // by the real clock, as pgconn's timer goes
	return n, err
}

// TestCheckServer_SlowWrites has a busy machine not lose the answers of a server.
func TestCheckServer_SlowWrites(t *testing.T) {
	server := walsendertest.NewServer(t, nil)
	config, err := server.ConnConfig()
	if err != nil {
		t.Fatal(err)
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		return &slowConn{Conn: c}, err
	}
	allPass(t, checked(t, server, conformance.ServerOptions{Config: config, Select: []string{"S-OTHER/001"}}))
}
