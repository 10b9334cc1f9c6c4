package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
)

// unixPair is a connection over a Unix socket, and its other end.
func unixPair(t *testing.T) (c *Conn, server *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		end, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end.Close() })
		ends[i] = end.(*net.UnixConn)
	}
	c = NewConn(t.Context(), ends[0], func(*protocol.Error) {})
	c.Parameters[protocol.ParameterExtensions] = string(protocol.ExtensionDescriptors)
	return c, ends[1]
}

func someFile(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A server can plant no descriptor: one comes where one is awaited, and else none.
func TestConn_8_4_Descriptors(t *testing.T) {
	f := someFile(t)
	for name, tt := range map[string]struct {
		awaited bool
		sent    int
		want    string
	}{
		"one":          {true, 1, "content"},
		"none":         {true, 0, ""},
		"not awaited":  {false, 1, ""},
		"two":          {true, 2, "violation"},
		"far too many": {true, 100, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, server := unixPair(t)
			if !c.TakesDescriptors() {
				t.Fatal("a Unix socket takes no descriptors")
			}
			before := openFiles(t)
			if tt.awaited {
				c.AwaitDescriptor()
			}
			message := encode(t, &pgproto3.CopyData{Data: []byte("7")})
			fds := make([]int, tt.sent)
			for i := range fds {
				fds[i] = int(f.Fd())
			}
			if _, err := server.Write(encode(t, &pgproto3.CopyBothResponse{})); err != nil {
				t.Fatal(err)
			}
			if _, err := scmrights.Send(server, message, fds...); err != nil {
				t.Fatal(err)
			}
			got := heard(t, c)
			if got != tt.want {
				t.Errorf("heard %q, want %q", got, tt.want)
			}
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors stay open", after-before)
			}
		})
	}
}

// heard takes the two messages, and says what the descriptor that came is of.
func heard(t *testing.T, c *Conn) string {
	for range 2 {
		_, _, err := c.Next()
		if _, violation := errors.AsType[*protocol.Error](err); violation {
			c.DropDescriptor()
			return "violation"
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file := c.Descriptor()
	if file == nil {
		return ""
	}
	defer file.Close()
	content, err := io.ReadAll(io.NewSectionReader(file, 0, 100))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// What nobody has taken is closed.
func TestConn_8_4_DropDescriptor(t *testing.T) {
	c, server := unixPair(t)
	before := openFiles(t)
	for range 2 {
		c.AwaitDescriptor()
		if _, err := scmrights.Send(server, encode(t, &pgproto3.ReadyForQuery{TxStatus: 'I'}), int(someFile(t).Fd())); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
		c.DropDescriptor()
	}
	if after := openFiles(t) - 2; after != before { // those of someFile
		t.Errorf("%d descriptors stay open", after-before)
	}
	if c.Descriptor() != nil {
		t.Error("there is a descriptor that was dropped")
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
