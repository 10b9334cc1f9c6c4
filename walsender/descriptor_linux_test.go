package walsender_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// Another user than the server's own, or root, gets none.
func TestDescriptor_8_4_AnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	addr := serveUnix(t, &walsender.Server{Cluster: newDiskCluster(t)})
	must(t, os.Chmod(filepath.Dir(addr.String()), 0o755))
	must(t, os.Chmod(addr.String(), 0o777))
	// 65534 stands for users that have no number here: it is nobody's own.
	for _, user := range []int{1, 65534} {
		c := newRawClient(t, dialAs(t, addr, user))
		c.startup(map[string]string{"user": "backup", "replication": "true"})
		if got := c.Parameters[protocol.ParameterExtensions]; protocol.ExtensionDescriptors.Announced(got) {
			t.Errorf("extensions %q", got)
		}
		c.query("START_BACKUP")
		if got := c.query(sendDescribed); got[0] != "CopyOutResponse" {
			t.Errorf("answer %q", got)
		}
		c.query("STOP_BACKUP")
	}
}

// dialAs connects as another user: on a thread of its own, which alone changes its user.
func dialAs(t *testing.T, addr net.Addr, user int) (conn net.Conn) {
	t.Helper()
	done := make(chan struct{})
	go func() { // ends with the connection made; the thread ends with it
		defer close(done)
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)); errno != 0 {
			t.Errorf("setresuid: %v", errno)
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: addr.String()})
		}
		if err != nil {
			t.Errorf("connect: %v", err)
			return
		}
		file := os.NewFile(uintptr(fd), "socket")
		defer file.Close()
		if conn, err = net.FileConn(file); err != nil {
			t.Errorf("connect: %v", err)
		}
	}()
	<-done
	if conn == nil {
		t.FailNow()
	}
	return conn
}
