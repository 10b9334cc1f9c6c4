package acceptance_test

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// With --drop-cache a backup leaves in the page cache what was there of the cluster, and
// nothing else: whether the server reads the files or the client does by their descriptors.
// Without it everything stays.
func TestServe_DropCache(t *testing.T) {
	t.Parallel()
	data := filepath.Join(dirOnDisk(t), "data")
	must(t, walsendertest.Sample{}.Write(data))
	file := filepath.Join(data, "base", "1", "40000")
	must(t, os.WriteFile(file, make([]byte, 24<<20), 0o600)) // new pages
	evict(t, file)
	const working = 8 << 20 // what the database works with
	for _, test := range []struct {
		name     string
		serve    []string
		backup   []string
		keepsAll bool
	}{
		{"the server reads", []string{"--drop-cache"}, []string{"--no-descriptors"}, false},
		{"the client reads", []string{"--drop-cache"}, nil, false},
		{"in archives", []string{"--drop-cache"}, []string{"--no-descriptors", "-F", "t"}, false},
		{"without it", nil, []string{"--no-descriptors"}, true},
	} {
		evict(t, file)
		f, err := os.Open(file)
		must(t, err)
		must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)) // nothing is read ahead
		_, err = f.ReadAt(make([]byte, working), 0)
		must(t, err)
		must(t, f.Close())
		before := resident(t, file)
		if n := count(before); n < working/os.Getpagesize() || n > len(before)/2 {
			t.Fatalf("%d of %d pages are cached before", n, len(before))
		}
		s := serve(t, data, test.serve...)
		succeed(t, backup(t, s.socketDir, filepath.Join(dirOnDisk(t), "copy"), append(test.backup, "--no-sync")...))
		after := resident(t, file)
		lost, gained := 0, 0
		for i := range before {
			if before[i] && !after[i] {
				lost++
			}
			if !before[i] && after[i] {
				gained++
			}
		}
		t.Logf("%s: %d of %d pages cached before, %d lost, %d gained", test.name, count(before), len(before), lost, gained)
		// The kernel may need the memory for others.
		if most := len(before) / 100; lost > most || !test.keepsAll && gained > most || test.keepsAll && gained < len(before)-count(before) {
			t.Errorf("%s: of %d cached pages %d are gone, and %d came", test.name, count(before), lost, gained)
		}
		s.signal(unix.SIGTERM)
		s.wait(t)
	}
}

// dirOnDisk is a directory of a file system on a disk, whose pages can leave the cache.
func dirOnDisk(t *testing.T) string {
	t.Helper()
	for _, parent := range []string{t.TempDir(), "/var/tmp"} {
		var fs unix.Statfs_t
		must(t, unix.Statfs(parent, &fs))
		if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC || fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(parent, "pgp")
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	t.Skip("the temporary directories are in memory")
	return ""
}

// evict takes a file out of the page cache.
func evict(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	must(t, f.Sync())
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}

// resident tells of each page of a file whether it is in the page cache.
func resident(t *testing.T, path string) []bool {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	mapping, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	defer func() { must(t, unix.Munmap(mapping)) }()
	vector := make([]byte, (len(mapping)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapping[0])), uintptr(len(mapping)), uintptr(unsafe.Pointer(&vector[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	pages := make([]bool, len(vector))
	for i, b := range vector {
		pages[i] = b&1 == 1
	}
	return pages
}

func count(pages []bool) (n int) {
	for _, is := range pages {
		if is {
			n++
		}
	}
	return n
}
