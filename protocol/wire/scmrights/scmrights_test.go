package scmrights_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
)

// pair is a connected pair of Unix sockets.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn.(*net.UnixConn)
	}
	return conns[0], conns[1]
}

// someFile is a file with content.
func someFile(t *testing.T, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A descriptor comes with the first byte of what it was sent with, never with what was
// written before, and is closed in programs that are started.
func TestReceive_8_4_WithItsBytes(t *testing.T) {
	ours, theirs := pair(t)
	f := someFile(t, "content")
	if _, err := ours.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	if n, err := scmrights.Send(ours, []byte("with"), int(f.Fd())); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := ours.Write([]byte("after")); err != nil {
		t.Fatal(err)
	}
	ours.CloseWrite()
	heard, p := "", make([]byte, 3)
	for {
		n, files, err := scmrights.Receive(theirs, p)
		defer scmrights.Close(files)
		if len(files) > 0 {
			heard += "|"
			content, err := io.ReadAll(files[0])
			if string(content) != "content" || err != nil || len(files) != 1 {
				t.Errorf("%d files, the first with %q, %v", len(files), content, err)
			}
			if flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
				t.Errorf("flags of the descriptor: %x, %v", flags, err)
			}
		}
		heard += string(p[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(heard, "before|with") || !strings.HasSuffix(heard, "after") {
		t.Errorf("heard %q, want the descriptor with the first byte of \"with\"", heard)
	}
}

// More descriptors than anybody can have a use for are closed, all of them.
func TestReceive_8_4_TooMany(t *testing.T) {
	ours, theirs := pair(t)
	f := int(someFile(t, "").Fd())
	for _, tt := range []struct{ sent, want int }{{1, 1}, {2, 2}, {3, 0}, {200, 0}} {
		fds := make([]int, tt.sent)
		for i := range fds {
			fds[i] = f
		}
		before := openFiles(t)
		if _, err := scmrights.Send(ours, []byte("x"), fds...); err != nil {
			t.Fatal(err)
		}
		n, files, err := scmrights.Receive(theirs, make([]byte, 10))
		if n != 1 || len(files) != tt.want || err != nil {
			t.Errorf("of %d files %d came with %d bytes, %v", tt.sent, len(files), n, err)
		}
		scmrights.Close(files)
		if after := openFiles(t); after != before {
			t.Errorf("of %d files %d stay open", tt.sent, after-before)
		}
	}
}

// openFiles counts the open files of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// A peer that is gone is an error, and no number of bytes less than none.
func TestReceive_8_4_Reset(t *testing.T) {
	a, b := pair(t)
	if _, err := a.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	b.Close() // with bytes unread, which resets
	n, files, err := scmrights.Receive(a, make([]byte, 10))
	if n != 0 || len(files) != 0 || err == nil {
		t.Errorf("%d bytes, %d files, %v", n, len(files), err)
	}
}
