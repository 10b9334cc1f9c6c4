package beneath

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree is a directory with everything that can lie in one:
//
//	folder/file, folder/sub/file    files
//	way -> folder, link -> file, out -> /etc, fifo, socket
func tree(t *testing.T) (Dir, string) {
	t.Helper()
	// A socket's name must be short.
	dir, err := os.MkdirTemp("", "b")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.MkdirAll(filepath.Join(dir, "folder/sub"), 0o700))
	for _, name := range []string{"file", "folder/file", "folder/sub/file"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
	}
	must(t, os.Symlink("folder", filepath.Join(dir, "way")))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	must(t, os.Symlink("/etc", filepath.Join(dir, "out")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	root, err := OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { must(t, root.Close()) })
	return root, dir
}

// Nothing but a regular file beneath the directory is opened, and the error says what was
// met: a link has the answer of a special file wherever it is in the path.
func TestOpen(t *testing.T) {
	root, _ := tree(t)
	for name, want := range map[string]error{
		"file": nil, "folder/file": nil, "folder/sub/file": nil,
		"folder": unix.EISDIR, ".": unix.EISDIR,
		"link": ErrSpecial, "way": ErrSpecial, "way/file": ErrSpecial, "out/passwd": ErrSpecial, "fifo": ErrSpecial, "socket": ErrSpecial,
		"no": unix.ENOENT, "folder/no": unix.ENOENT, "file/x": unix.ENOTDIR,
	} {
		f, _, err := root.Open(name)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			must(t, f.Close())
		}
	}
	content, _, err := root.Read("folder/sub/file", 10)
	must(t, err)
	if string(content) != "folder/sub" {
		t.Errorf("read %q", content)
	}
}

// Sub stays beneath the directory; Follow goes where a link leads.
func TestSubAndFollow(t *testing.T) {
	root, _ := tree(t)
	if _, err := root.Sub("way"); !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a link is gone through: %v", err)
	}
	for _, open := range []func(string) (Dir, error){root.Sub, root.Follow} {
		d, err := open("folder")
		must(t, err)
		names, err := d.AllNames()
		must(t, err)
		if len(names) != 2 || names[0] != "file" || names[1] != "sub" {
			t.Errorf("names %q", names)
		}
		must(t, d.Close())
	}
	d, err := root.Follow("way")
	must(t, err)
	defer d.Close()
	if there, err := d.Exists("sub"); err != nil || !there {
		t.Errorf("the link leads elsewhere: %v, %v", there, err)
	}
}

// The chain of openat does what openat2 does.
func TestOpenComponents(t *testing.T) {
	root, _ := tree(t)
	for _, name := range []string{
		".", "folder", "folder/file", "folder/sub", "way", "way/sub/file", "link", "fifo", "socket", "file/x", "no", "no/no", "folder/no",
		"folder/file/x", "out", "out/passwd", "folder/sub/file",
	} {
		for _, flags := range []int{openFlags, openFlags | unix.O_DIRECTORY} {
			want, wantErr := openBeneath(root.(*diskDir).fd, name, flags)
			got, err := openComponents(root.(*diskDir).fd, name, flags)
			// A link where a directory is wanted: both refuse it, with two names.
			asDirectory := errors.Is(wantErr, unix.ENOTDIR) && errors.Is(err, unix.ELOOP)
			if !errors.Is(err, wantErr) && !asDirectory {
				t.Errorf("%s, flags %#x: %v, want %v", name, flags, err, wantErr)
			}
			for _, fd := range []int{want, got} {
				if fd >= 0 {
					must(t, unix.Close(fd))
				}
			}
		}
	}
}

// A directory in which a name was made is another, by its Stamp; the same directory under
// another name has its ID.
func TestStamp(t *testing.T) {
	root, dir := tree(t)
	before, err := root.Lstat("folder")
	must(t, err)
	way, err := root.Stat("way")
	must(t, err)
	if IDOf(before) != IDOf(way) || StampOf(before) != StampOf(way) {
		t.Error("the link leads to another directory")
	}
	long := unix.NsecToTimeval(0)
	must(t, unix.Utimes(filepath.Join(dir, "folder"), []unix.Timeval{long, long})) // as if it had been made long ago
	old, err := Stat(filepath.Join(dir, "folder"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "folder/new"), nil, 0o600))
	after, err := root.Lstat("folder")
	must(t, err)
	if IDOf(old) != IDOf(after) || StampOf(old) == StampOf(after) {
		t.Error("the new name does not show")
	}
}
