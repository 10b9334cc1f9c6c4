package walsender_test

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memCluster is a cluster in memory that waits and fails where a test wants it to.
type memCluster struct {
	files      fstest.MapFS
	major      int // of PostgreSQL
	inRecovery atomic.Bool

	startGate chan struct{} // not nil: StartBackup waits for it
	stopGate  chan struct{}
	stopErr   error
	reading   func(name string, r io.Reader) io.Reader // what a file is read through

	entered chan string // gets the name of each gate that is waited at

	lost chan *protocol.BackupLostError // tells that a backup is lost
}

func newMemCluster() *memCluster {
	return &memCluster{
		major: 15,
		files: fstest.MapFS{
			"PG_VERSION":        {Data: []byte("15\n")},
			"base/1/100":        {Data: make([]byte, 300<<10)},
			"base/1/big":        {Data: make([]byte, 64<<20)},
			"global/pg_control": {Data: make([]byte, 8192)},
		},
		entered: make(chan string, 100),
		lost:    make(chan *protocol.BackupLostError, 1),
	}
}

// serve runs a server for the cluster until the test ends.
func serve(t testing.TB, server *walsender.Server) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return l.Addr()
}

func (c *memCluster) Directory() string { return "memory" }

func (c *memCluster) Identify(context.Context) (protocol.System, error) {
	return protocol.System{SystemID: 42, Timeline: 1, XLogPos: 0x2000100}, nil
}

func (c *memCluster) Settings(context.Context) (protocol.Settings, error) {
	return protocol.Settings{
		ServerVersion: strconv.Itoa(c.major), ServerVersionNum: c.major * 10000, WALSegmentSize: 16 << 20, BlockSize: 8192,
		DataChecksums: true, DataDirectoryMode: 0o700, InHotStandby: c.inRecovery.Load(),
	}, nil
}

func (c *memCluster) InRecovery(context.Context) (bool, error) { return c.inRecovery.Load(), nil }

func (c *memCluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	if err := c.gate(ctx, "start", c.startGate); err != nil {
		return protocol.StartPoint{}, nil, err
	}
	return protocol.StartPoint{StartPtr: 0x2000028, Timeline: 1}, &memBackup{cluster: c}, nil
}

// memBackup is a running backup of a memCluster.
type memBackup struct {
	cluster *memCluster
	over    bool
}

func (c *memCluster) gate(ctx context.Context, name string, gate chan struct{}) error {
	if gate == nil {
		return nil
	}
	c.entered <- name
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		c.entered <- name + " given up"
		return ctx.Err()
	}
}

func (b *memBackup) Stop(ctx context.Context, _ bool, _ protocol.NoticeFunc) (protocol.BackupStop, error) {
	err := b.cluster.gate(ctx, "stop", b.cluster.stopGate)
	b.over = true
	if err == nil {
		err = b.cluster.stopErr
	}
	return protocol.BackupStop{StartPtr: 0x2000028, Timeline: 1, StopPtr: 0x20000A0, StopTimeline: 1}, err
}

func (b *memBackup) Abort() {
	if !b.over {
		b.over = true
		b.cluster.entered <- "aborted"
	}
}

func (b *memBackup) Lost() <-chan *protocol.BackupLostError { return b.cluster.lost }

func (c *memCluster) Tablespaces(_ context.Context, sizes bool) ([]protocol.Tablespace, error) {
	if sizes {
		return []protocol.Tablespace{{Size: 7}}, nil
	}
	return []protocol.Tablespace{{Size: -1}}, nil
}

func (c *memCluster) Files(_ context.Context, _ string, _ protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		for name, f := range c.files {
			if !yield(protocol.File{Path: name, Type: protocol.TypeFile, Size: int64(len(f.Data))}, nil) {
				return
			}
		}
	}
}

func (c *memCluster) Open(_ context.Context, name string, _ protocol.OpenOptions) (fs.File, error) {
	f, err := c.files.Open(name)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeUndefinedFile, "could not open file %q: No such file or directory", name)
	}
	if c.reading == nil {
		return f, nil
	}
	return &readFile{f, c.reading(name, f)}, nil
}

// readFile is a file that is read through something else.
type readFile struct {
	fs.File
	r io.Reader
}

func (f *readFile) Read(p []byte) (int, error) { return f.r.Read(p) }

// expect waits for an event of the cluster.
func (c *memCluster) expect(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-c.entered:
		if got != want {
			t.Fatalf("the cluster saw %q, want %q", got, want)
		}
	case <-t.Context().Done():
		t.Fatalf("the cluster never saw %q", want)
	}
}
