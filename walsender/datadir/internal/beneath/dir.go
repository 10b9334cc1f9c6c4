package beneath

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Dir is an open directory: one on disk ([OpenRoot]), or one that an archive holds (package
// archive). It may be used from many goroutines, but for Names, which has a reading
// position. The caller closes it. A name is a path beneath it, with slashes, and "." the
// directory itself; the errors are unix.Errno, or [ErrSpecial], perhaps wrapped.
type Dir interface {
	// Open opens a regular file. ErrSpecial stands for links, sockets and the like,
	// unix.EISDIR for directories.
	Open(name string) (File, unix.Stat_t, error)

	// OpenKnown is Open for a name of which it is known that it is of a regular file or a
	// directory, as long as nobody has put something else in its place.
	OpenKnown(name string) (File, unix.Stat_t, error)

	// Read is the content of a file: limit bytes at the most, and no more than the file
	// had when it was opened.
	Read(name string, limit int64) ([]byte, unix.Stat_t, error)

	// Sub opens a directory beneath this one, "." for itself with a reading position of
	// its own.
	Sub(name string) (Dir, error)

	// Follow opens the directory to which a link leads, as the kernel follows it for
	// PostgreSQL: a relative one from the directory that holds it. It is the one way out,
	// for links that are the administrator's. A directory in the place of the link is
	// opened itself.
	Follow(name string) (Dir, error)

	// Lstat is the status of what lies under the name, links not followed.
	Lstat(name string) (unix.Stat_t, error)

	// Stat is the status of what the name leads to, as the kernel follows links.
	Stat(name string) (unix.Stat_t, error)

	// Exists reports whether there is anything under the name. Only ENOENT says no.
	Exists(name string) (bool, error)

	// Readlink is where a link points.
	Readlink(name string) (string, error)

	// CheckReadable is nil where this process may read what lies under the name.
	CheckReadable(name string) error

	// Names reads the next names of the directory, n at the most; io.EOF after the last.
	// All that are left for n < 0, without io.EOF.
	Names(n int) ([]string, error)

	// AllNames reads the whole directory: each name once, sorted.
	AllNames() ([]string, error)

	// FoldsCase reports whether a name that is spelled in other letters leads to the same
	// file, as on macOS.
	FoldsCase(name string) bool

	// Misspells reports whether a path is none that the directories list, letter for
	// letter, though the file system may find something under it. All rules are about
	// listed names: under another one a file would be another file to them.
	Misspells(name string) bool

	// Close closes the directory. Files that were opened beneath it stay open.
	Close() error
}

// diskDir is a directory on disk.
type diskDir struct {
	file *os.File
	fd   int
}

// OpenRoot opens the directory that the administrator named, through whatever links lead
// there. The error is an *fs.PathError.
func OpenRoot(path string) (Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return newDir(fd, path), nil
}

func newDir(fd int, name string) *diskDir {
	return &diskDir{file: os.NewFile(uintptr(fd), name), fd: fd}
}

func (d *diskDir) Close() error { return d.file.Close() }

func (d *diskDir) Sub(name string) (Dir, error) {
	fd, err := openBeneath(d.fd, name, openFlags&^unix.O_NONBLOCK|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return newDir(fd, name), nil
}

func (d *diskDir) Follow(name string) (Dir, error) {
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return newDir(fd, name), nil
}

func (d *diskDir) Lstat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error {
		if name == "." {
			return unix.Fstat(d.fd, &st)
		}
		return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	return st, err
}

func (d *diskDir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, 0) })
	return st, err
}

func (d *diskDir) Exists(name string) (bool, error) {
	_, err := d.Lstat(name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

func (d *diskDir) Readlink(name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	var n int
	err := retry(func() (err error) { n, err = unix.Readlinkat(d.fd, name, buffer); return err })
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

func (d *diskDir) CheckReadable(name string) error {
	return retry(func() error {
		return unix.Faccessat(d.fd, name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Names asks for nothing but names: where the file system tells no types,
// os.File.ReadDir would look them up by path and drop what it does not find.
func (d *diskDir) Names(n int) ([]string, error) { return d.file.Readdirnames(n) }

// AllNames reads the directory up to five times: where it is changed meanwhile, readdir may
// miss a name that was there all along, or tell one twice.
func (d *diskDir) AllNames() ([]string, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		before, err := d.Lstat(".")
		if err != nil {
			return nil, err
		}
		names, err := d.namesOnce()
		if err != nil {
			return nil, err
		}
		after, err := d.Lstat(".")
		if err != nil {
			return nil, err
		}
		if StampOf(before) == StampOf(after) || attempt == attempts {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
	}
}

func (d *diskDir) namesOnce() ([]string, error) {
	again, err := d.Sub(".") // with a reading position of its own
	if err != nil {
		return nil, err
	}
	defer again.Close()
	names, err := again.Names(-1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
