package walsender_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// diskCluster is a memCluster whose file base/1/100 lies on disk.
type diskCluster struct {
	*memCluster
	path string
}

// diskContent is what base/1/100 of a diskCluster has: 100 bytes, and what came later.
var diskContent = strings.Repeat("0123456789", 10)

func newDiskCluster(t *testing.T) *diskCluster {
	path := filepath.Join(t.TempDir(), "100")
	must(t, os.WriteFile(path, []byte(diskContent+"grown"), 0o600))
	return &diskCluster{newMemCluster(), path}
}

func (c *diskCluster) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if name == "pg_wal/000000010000000000000002" || name == "base/1/100" {
		f, err := os.Open(c.path)
		return diskFile{f}, err
	}
	return c.memCluster.Open(ctx, name, o)
}

type diskFile struct{ *os.File }

func (f diskFile) Descriptor() (fd int, size int64, ok bool) {
	return int(f.Fd()), int64(len(diskContent)), true
}

// serveUnix is serve on a Unix socket.
func serveUnix(t testing.TB, server *walsender.Server) net.Addr {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // a socket's path is short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return l.Addr()
}

// takingConn keeps the files that come with the bytes it reads.
type takingConn struct {
	*net.UnixConn
	taken []*os.File
}

func (c *takingConn) Read(p []byte) (int, error) {
	n, files, err := scmrights.Receive(c.UnixConn, p)
	c.taken = append(c.taken, files...)
	return n, err
}

// taker is a client that takes descriptors.
type taker struct {
	*rawClient
	conn *takingConn
}

func connectTaker(t *testing.T, addr net.Addr) *taker {
	t.Helper()
	conn, err := net.Dial("unix", addr.String())
	must(t, err)
	taking := &takingConn{UnixConn: conn.(*net.UnixConn)}
	t.Cleanup(func() { scmrights.Close(taking.taken) })
	c := &taker{newRawClient(t, taking), taking}
	c.startup(map[string]string{"user": "backup", "replication": "true"})
	return c
}

// takeDescriptor sends the command, and takes the descriptor that is the answer.
func (c *taker) takeDescriptor(command string) *os.File {
	c.t.Helper()
	c.Send(command)
	wantAnswer(c.t, []string{c.message()}, "CopyBothResponse")
	kind, body, err := c.Next()
	if kind != 'd' || string(body) != "100" || err != nil {
		c.t.Fatalf("message %q %q, %v", kind, body, err)
	}
	if len(c.conn.taken) != 1 {
		c.t.Fatalf("%d descriptors", len(c.conn.taken))
	}
	f := c.conn.taken[0]
	c.conn.taken = nil
	c.t.Cleanup(func() { f.Close() })
	return f
}

const (
	sendDescribed = "SEND_FILE ('base/1/100') DESCRIPTOR"
	copyDone      = "c\x00\x00\x00\x04"
	copyFail      = "f\x00\x00\x00\x09full\x00"
)

// describedAnswer is how the answer ends when the peer has copied the file.
var describedAnswer = []string{"CopyDone", "CommandComplete SEND_FILE", ready}

func TestDescriptor_8_4(t *testing.T) {
	backups := sharedstate.NewTable(0)
	addr := serveUnix(t, &walsender.Server{Cluster: newDiskCluster(t), Backups: backups})
	c := connectTaker(t, addr)
	if got := c.Parameters[protocol.ParameterExtensions]; !protocol.ExtensionDescriptors.Announced(got) {
		t.Fatalf("extensions %q", got)
	}
	c.query("START_BACKUP")
	f := c.takeDescriptor(sendDescribed)
	content, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
	if string(content) != diskContent || err != nil {
		t.Errorf("content %q, %v", content, err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); flags&unix.O_ACCMODE != unix.O_RDONLY || err != nil {
		t.Errorf("flags of the file: %x, %v", flags, err)
	}
	if got := backups.Backups()[0].Counters; got.BytesSent != 0 || got.FilesSent != 0 {
		t.Errorf("counted ahead of CopyDone: %+v", got)
	}
	c.Write([]byte(copyDone))
	wantAnswer(t, c.answer(), describedAnswer...)
	if got := backups.Backups()[0].Counters; got.BytesSent != 100 || got.FilesSent != 1 {
		t.Errorf("counted: %+v", got)
	}
	// What follows CopyDone needs no wait.
	c.Send(sendDescribed)
	c.Write([]byte(copyDone))
	c.Send("SHOW block_size")
	wantAnswer(t, c.answer(), append([]string{"CopyBothResponse", "CopyData 3 bytes"}, describedAnswer...)...)
	wantAnswer(t, c.answer(), "RowDescription (block_size text)", `DataRow ("8192")`, "CommandComplete SHOW", ready)
}

// A COPY is the answer to whoever has no right to a descriptor, and of what has none.
func TestDescriptor_8_4_COPY(t *testing.T) {
	asCopy := func(size int) []string {
		return []string{"CopyOutResponse", fmt.Sprintf("CopyData %d bytes", size), "CopyDone", "CommandComplete SEND_FILE", ready}
	}
	whole := asCopy(len(diskContent) + len("grown")) // of a diskFile, whose reader knows no end
	cluster := newDiskCluster(t)
	for _, tt := range []struct {
		name, start, file string
		serve             func(testing.TB, *walsender.Server) net.Addr
		want              []string
	}{
		{"over TCP", "START_BACKUP", "base/1/100", serve, whole},
		{"with MAX_RATE", "START_BACKUP MAX_RATE 32", "base/1/100", serveUnix, whole},
		{"WAL", "START_BACKUP", "pg_wal/000000010000000000000002", serveUnix, whole},
		{"not on disk", "START_BACKUP", "PG_VERSION", serveUnix, asCopy(3)},
		{"pg_control", "START_BACKUP", "global/pg_control", serveUnix, asCopy(8192)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, tt.serve(t, &walsender.Server{Cluster: cluster}), "backup")
			tcp := c.Conn.RemoteAddr().Network() == "tcp"
			if got := c.Parameters[protocol.ParameterExtensions]; tcp && protocol.ExtensionDescriptors.Announced(got) {
				t.Errorf("extensions %q", got)
			}
			c.query(tt.start)
			wantAnswer(t, c.query("SEND_FILE ('"+tt.file+"') DESCRIPTOR"), tt.want...)
			if !tcp {
				c.query("STOP_BACKUP")
			}
		})
	}
}

func TestDescriptor_8_4_CopyFail(t *testing.T) {
	backups := sharedstate.NewTable(0)
	c := connectTaker(t, serveUnix(t, &walsender.Server{Cluster: newDiskCluster(t), Backups: backups}))
	c.query("START_BACKUP")
	c.takeDescriptor(sendDescribed)
	c.Write([]byte(copyFail))
	wantAnswer(t, c.answer(), "ErrorResponse ERROR 57014 the client has given the file up: full", ready)
	if got := backups.Backups()[0].Counters; got.BytesSent != 0 || got.FilesSent != 0 {
		t.Errorf("counted: %+v", got)
	}
	wantAnswer(t, c.query("SEND_FILE ('PG_VERSION') DESCRIPTOR"), "CopyOutResponse", "CopyData 3 bytes", "CopyDone", "CommandComplete SEND_FILE", ready)
}

// Nothing but the end of the copy comes behind such a command.
func TestDescriptor_8_4_Pipelined(t *testing.T) {
	addr := serveUnix(t, &walsender.Server{Cluster: newDiskCluster(t)})
	for _, message := range []string{"Q\x00\x00\x00\x10STOP_BACKUP\x00", "d\x00\x00\x00\x05x", "S\x00\x00\x00\x04"} {
		c := connectTaker(t, addr)
		c.query("START_BACKUP")
		c.takeDescriptor(sendDescribed)
		c.Write([]byte(message))
		wantAnswer(t, c.answer(), fmt.Sprintf("ErrorResponse FATAL 08P01 unexpected message type 0x%02X before the CopyDone of a file that is copied by its descriptor", message[0]), "EOF")
	}
	c := connectTaker(t, addr)
	c.query("START_BACKUP")
	c.takeDescriptor(sendDescribed)
	c.Write([]byte("X\x00\x00\x00\x04"))
	wantAnswer(t, c.answer(), "EOF")
}

// Until CopyDone the file is being sent: the backup cannot be stopped, and its end ends the
// wait.
func TestDescriptor_8_4_BeingSent(t *testing.T) {
	cluster := newDiskCluster(t)
	cluster.entered = make(chan string, 100)
	server := &walsender.Server{Cluster: cluster}
	addr := serveUnix(t, server)
	leader := connect(t, addr, "backup")
	id := value(t, leader.query("START_BACKUP"), 3)
	c := connectTaker(t, addr)
	c.query("JOIN_BACKUP '" + id + "'")
	c.takeDescriptor(sendDescribed)
	got := leader.query("STOP_BACKUP")
	if !strings.HasPrefix(got[0], "ErrorResponse ERROR 55006") {
		t.Fatalf("STOP_BACKUP: %q", got)
	}
	if got := leader.query("SEND_FILE ('global/pg_control')"); !strings.HasPrefix(got[0], "ErrorResponse ERROR 55006") {
		t.Fatalf("pg_control: %q", got)
	}
	leader.Conn.Close()
	wantAnswer(t, c.answer(), `ErrorResponse ERROR 55000 backup "`+id[:8]+`" was aborted`, ready)
	// What the client had not heard of yet does no harm.
	c.Write([]byte(copyDone))
	got = c.query("SHOW block_size")
	wantAnswer(t, got[len(got)-2:], "CommandComplete SHOW", ready)
}

func TestDescriptor_8_4_Promotion(t *testing.T) {
	cluster := newDiskCluster(t)
	cluster.inRecovery.Store(true)
	c := connectTaker(t, serveUnix(t, &walsender.Server{Cluster: cluster}))
	c.query("START_BACKUP")
	c.takeDescriptor(sendDescribed)
	cluster.inRecovery.Store(false)
	if got := c.answer(); !strings.HasPrefix(got[0], "ErrorResponse ERROR 55000 the standby was promoted during online backup") {
		t.Errorf("answer %q", got)
	}
}

// Descriptors end with the command: none stays open in the server.
func TestDescriptor_8_4_NoneStaysOpen(t *testing.T) {
	addr := serveUnix(t, &walsender.Server{Cluster: newDiskCluster(t)})
	c := connectTaker(t, addr)
	c.query("START_BACKUP")
	before := openFiles(t)
	for i, end := range []string{copyDone, copyFail, copyDone} {
		f := c.takeDescriptor(sendDescribed)
		c.Write([]byte(end))
		c.answer()
		f.Close()
		if after := openFiles(t); after != before {
			t.Errorf("after %d files %d descriptors stay open", i+1, after-before)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}
