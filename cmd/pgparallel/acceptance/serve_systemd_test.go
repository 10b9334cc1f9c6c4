package acceptance_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// The service manager is told when serve is ready, reads its files again, lives and ends.
func TestServe_NotifySocket(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(data))
	manager := listenAsManager(t)
	cmd := command(t, "serve", "-D", data, "-k", socketDir(t))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=200000")
	s := start(t, cmd)
	expect := func(want ...string) {
		t.Helper()
		for {
			got := receive(t, manager)
			all := true
			for _, state := range want {
				all = all && strings.Contains(got, state)
			}
			if all {
				return
			}
			if !strings.Contains(got, "WATCHDOG=1") && !strings.Contains(got, "STATUS=starting") {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
	expect("READY=1", "STATUS=ready to serve base backups")
	expect("WATCHDOG=1", "STATUS=")
	s.signal(unix.SIGHUP)
	expect("RELOADING=1", "MONOTONIC_USEC=")
	expect("READY=1")
	s.signal(unix.SIGTERM)
	expect("STOPPING=1")
	s.wait(t)
	if s.status() != 0 {
		t.Errorf("exit status %d", s.status())
	}
}

// While serve waits for PostgreSQL, the service manager is asked for patience.
func TestServe_NotifySocketWaiting(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(data))
	manager := listenAsManager(t)
	cmd := command(t, "serve", "-D", data, "-k", socketDir(t), "--cluster=host="+socketDir(t), "--wait")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+manager.LocalAddr().String())
	start(t, cmd)
	if got := receive(t, manager); !strings.Contains(got, "EXTEND_TIMEOUT_USEC=20000000") || !strings.Contains(got, "STATUS=waiting") {
		t.Errorf("got %q", got)
	}
}

func listenAsManager(t *testing.T) *net.UnixConn {
	t.Helper()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(socketDir(t), "notify"), Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { manager.Close() })
	return manager
}

// receive is the next datagram.
func receive(t *testing.T, manager *net.UnixConn) string {
	t.Helper()
	must(t, manager.SetReadDeadline(time.Now().Add(patience)))
	datagram := make([]byte, 4096)
	n, err := manager.Read(datagram)
	must(t, err)
	return string(datagram[:n])
}
