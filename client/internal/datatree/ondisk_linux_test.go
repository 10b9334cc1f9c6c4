package datatree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// isCached reports whether the page cache has the beginning of a file.
func isCached(t *testing.T, f *os.File) bool {
	t.Helper()
	_, err := unix.Preadv2(int(f.Fd()), [][]byte{make([]byte, 4096)}, 0, unix.RWF_NOWAIT)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Skipf("this file system does not tell what it has in memory: %v", err)
	}
	return err == nil
}

// What an earlier backup has not waited for is on disk ahead of the first look at it, and the look is one
// at the disk: pages that are not synchronized cannot be dropped.
func TestRefresh_OnDisk(t *testing.T) {
	for method, noSync := range map[SyncMethod]bool{SyncFsync: false, SyncAuto: true} {
		dir := t.TempDir()
		var s unix.Statfs_t
		outputtest.Must(t, unix.Statfs(dir, &s))
		if int64(uint32(s.Type)) == unix.TMPFS_MAGIC {
			t.Skip("there is no disk")
		}
		path := filepath.Join(dir, "file")
		outputtest.Must(t, os.WriteFile(path, make([]byte, 64<<10), 0o600))
		root, err := os.OpenRoot(dir)
		outputtest.Must(t, err)
		defer root.Close()
		f, err := root.Open("file")
		outputtest.Must(t, err)
		defer f.Close()
		r := &Refresh{Tree: &Tree{
			Config: Config{SyncMethod: method, NoSync: noSync, Log: outputtest.Log(t)},
			order:  []*claimed{{path: dir, root: root, kept: true}},
		}}
		if !isCached(t, f) {
			t.Skip("the page cache does not keep it")
		}
		outputtest.Must(t, r.syncEarlier())
		size, err := r.OnDisk("file", output.Earlier{File: f, Size: 64 << 10})
		outputtest.Must(t, err)
		if cached := isCached(t, f); size != 64<<10 || cached != noSync {
			t.Errorf("method %d: %d bytes on disk, in the page cache: %v", method, size, cached)
		}
	}
}

// A file counts as far as there is anything of it: its end may be nowhere but in memory.
func TestRefresh_OnDisk_Hole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	outputtest.Must(t, err)
	defer f.Close()
	const block = 64 << 10
	_, err = f.WriteAt(make([]byte, block), block) // ahead of it, there is a hole that is on disk
	outputtest.Must(t, err)
	for _, c := range []struct{ size, want int64 }{{2 * block, 2 * block}, {5 * block, 2 * block}, {0, 0}, {block, 0}} {
		outputtest.Must(t, f.Truncate(c.size))
		outputtest.Must(t, f.Sync())
		r := &Refresh{Tree: &Tree{}}
		got, err := r.OnDisk("file", output.Earlier{File: f, Size: c.size})
		outputtest.Must(t, err)
		if got != c.want {
			t.Errorf("of %d bytes %d are on disk, want %d", c.size, got, c.want)
		}
	}
}
