package walsender_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
)

// socketDir is a directory with a short name.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestListenUnix(t *testing.T) {
	dir := socketDir(t)
	l, err := walsender.ListenUnix(dir, 5433)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".s.PGSQL.5433")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v; want mode 0600", info.Mode(), err)
	}
	if _, err := walsender.ListenUnix(dir, 5433); !errors.Is(err, walsender.ErrSocketInUse) {
		t.Errorf("a second server: %v, want ErrSocketInUse", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestListenUnix_TakesOverFromKilled(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, ".s.PGSQL.5433")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	os.WriteFile(path+".lock", []byte("99999\n"), 0o600)
	l, err := walsender.ListenUnix(dir, 5433)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestListenUnix_RespectsLivePostgreSQL(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, ".s.PGSQL.5433")
	live, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	os.WriteFile(path+".lock", []byte("1\n"), 0o600) // not locked: PostgreSQL uses no flock
	if _, err := walsender.ListenUnix(dir, 5433); !errors.Is(err, walsender.ErrSocketInUse) {
		t.Errorf("%v, want ErrSocketInUse", err)
	}
	if lock, _ := os.ReadFile(path + ".lock"); string(lock) != "1\n" {
		t.Errorf("the lock file of the live server is now %q", lock)
	}
}

func TestListenUnix_LockFileOfSomebodyElse(t *testing.T) {
	for name, lay := range map[string]func(victim, lock string) error{"symbolic link": os.Symlink, "hard link": os.Link} {
		t.Run(name, func(t *testing.T) {
			dir := socketDir(t)
			victim := filepath.Join(dir, "victim")
			os.WriteFile(victim, []byte("precious"), 0o600)
			if err := lay(victim, filepath.Join(dir, ".s.PGSQL.5433.lock")); err != nil {
				t.Fatal(err)
			}
			if l, err := walsender.ListenUnix(dir, 5433); err == nil {
				l.Close()
				t.Error("the lock file was taken")
			}
			if got, _ := os.ReadFile(victim); string(got) != "precious" {
				t.Errorf("the file behind the link is now %q", got)
			}
		})
	}
}

func TestListenUnix_BadDirectory(t *testing.T) {
	if _, err := walsender.ListenUnix("/nonexistent", 5433); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v, want ENOENT", err)
	}
	_, err := walsender.ListenUnix("/"+strings.Repeat("x", 100), 5433)
	if err == nil || !strings.Contains(err.Error(), "too long (maximum 107 bytes)") {
		t.Errorf("%v, want too long", err)
	}
}

func TestListenUnixMode(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "pgp")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, mode := range []fs.FileMode{0o777, 0o770, 0o600} {
		l, err := walsender.ListenUnixMode(dir, 5433, mode)
		must(t, err)
		if info, err := os.Stat(l.Addr().String()); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode of the socket: %v, %v, want %v", info.Mode(), err, mode)
		}
		must(t, l.Close())
	}
}
