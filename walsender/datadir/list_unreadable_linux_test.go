package datadir

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
)

// asNobody runs f, as another user than root where it is root's process: on a thread
// of its own, which alone changes its user.
func asNobody(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && !strings.Contains(path, "root") {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	}))
	done := make(chan struct{})
	go func() { // ends with f; the thread ends with it
		defer close(done)
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			t.Errorf("setresuid: %v", errno)
			return
		}
		f()
	}()
	<-done
}

// What this process may not read is told at the listing, all of it at once.
func TestFiles_4_5_Unreadable(t *testing.T) {
	f := newFixture(t, validControl())
	for _, name := range []string{"a.root", "log/b.root", "base/5/16384", "own.bak"} {
		f.write(name, []byte(name))
	}
	f.write("secret.root/file", nil)
	for _, name := range []string{"a.root", "log/b.root", "secret.root", "own.bak"} {
		f.must(os.Chmod(f.at(name), 0))
	}
	d := f.open()
	asNobody(t, f.path, func() {
		var last error
		rows := 0
		for _, err := range d.Files(t.Context(), "", func(*protocol.Error) {}) {
			last, rows = err, rows+1
		}
		if code(last) != protocol.CodeIOError {
			t.Fatalf("error %v, want 58030", last)
		}
		for _, name := range []string{`"./a.root"`, `"./log/b.root"`, `"./secret.root"`, `"./own.bak"`} {
			if !strings.Contains(last.Error(), name) {
				t.Errorf("%s is not in %q", name, last)
			}
		}
		if _, err := d.Tablespaces(t.Context(), true); code(err) != protocol.CodeIOError {
			t.Errorf("sizing: error %v, want 58030", err)
		}
	})
}

// However many there are, the message stays short.
func TestUnreadable_Bounded(t *testing.T) {
	var u unreadable
	for range 100_000 {
		u.add(strings.Repeat("x", 100))
	}
	if text := u.err().Error(); len(text) > 4096 || !strings.Contains(text, "and 99990 more") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// What a file system keeps for itself is no part of the cluster.
func TestFiles_4_5_FileSystemsOwn(t *testing.T) {
	f := newFixture(t, validControl())
	for _, name := range []string{
		"lost+found/#1", ".zfs/snapshot/daily/PG_VERSION", ".snapshot/hourly/PG_VERSION", "base/lost+found/#1",
		".nfs000000000000a1b200000001", "base/5/.nfs000000000000a1b200000002", "base/5/.fuse_hidden0000000100000001",
	} {
		f.write(name, nil)
	}
	d := f.open()
	rows, notices := listing(t, d, "")
	compare(t, "rows", []string{
		"f PG_VERSION", "d base", "d base/5", "d global", "d pg_tblspc", "d pg_wal", "d pg_wal/archive_status", "f global/pg_control",
	}, rows)
	compare(t, "notices", []string{
		`skipping "./lost+found", which belongs to the file system`, `skipping "./.zfs", which belongs to the file system`,
		`skipping "./.snapshot", which belongs to the file system`, `skipping "./base/lost+found", which belongs to the file system`,
	}, notices)
	for _, name := range []string{"lost+found/#1", ".zfs/snapshot/daily/PG_VERSION", "base/5/.nfs000000000000a1b200000002"} {
		if _, err := d.Open(t.Context(), name, protocol.OpenOptions{}); code(err) != protocol.CodeInsufficientPrivilege {
			t.Errorf("%s: error %v, want 42501", name, err)
		}
	}
}

// A tablespace that is lost is told with its OID, its place and what to do.
func TestFiles_4_5_LostTablespace(t *testing.T) {
	f := newFixture(t, validControl())
	unmounted := t.TempDir()
	f.must(os.Symlink(unmounted, f.at("pg_tblspc/16401")))
	f.must(os.Symlink("/no/such/place", f.at("pg_tblspc/16402")))
	d := f.open()
	for oid, location := range map[string]string{"16401": unmounted, "16402": "/no/such/place"} {
		want := `Tablespace ` + oid + ` is in "` + location + `". Mount its file system, make it readable, or drop the tablespace if it is lost.`
		var last error
		for _, err := range d.Files(t.Context(), oid, nil) {
			last = err
		}
		_, openErr := d.Open(t.Context(), "pg_tblspc/"+oid+"/PG_15_202209061/5/1", protocol.OpenOptions{})
		for _, err := range []error{last, openErr} {
			e, ok := err.(*protocol.Error)
			if !ok || e.Code != protocol.CodeIOError || e.Hint != want {
				t.Errorf("error %#v, want 58030 with the hint %q", err, want)
			}
		}
	}
}
