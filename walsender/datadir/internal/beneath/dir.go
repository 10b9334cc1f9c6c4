package beneath

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Dir is an open directory. It may be used from many goroutines, but for Names, which
// has a reading position. The caller closes it.
type Dir struct {
	file *os.File
	fd   int
}

// OpenRoot opens the directory that the administrator named, through whatever links lead
// there. The error is an *fs.PathError.
func OpenRoot(path string) (*Dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return newDir(fd, path), nil
}

func newDir(fd int, name string) *Dir {
	return &Dir{file: os.NewFile(uintptr(fd), name), fd: fd}
}

// Close closes the directory. Files that were opened beneath it stay open.
func (d *Dir) Close() error { return d.file.Close() }

// Sub opens a directory beneath d, "." for d itself with a reading position of its own.
func (d *Dir) Sub(name string) (*Dir, error) {
	fd, err := openBeneath(d.fd, name, openFlags&^unix.O_NONBLOCK|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return newDir(fd, name), nil
}

// Follow opens the directory to which a link beneath d leads, as the kernel follows it
// for PostgreSQL: a relative one from the directory that holds it. It is the one way out,
// for links that are the administrator's. A directory in the place of the link is opened
// itself.
func (d *Dir) Follow(name string) (*Dir, error) {
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return newDir(fd, name), nil
}

// Lstat is the status of what lies under the name, links not followed.
func (d *Dir) Lstat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// Stat is the status of what the name leads to, as the kernel follows links.
func (d *Dir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, 0) })
	return st, err
}

// Exists reports whether there is anything under the name. Only ENOENT says no.
func (d *Dir) Exists(name string) (bool, error) {
	_, err := d.Lstat(name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// Readlink is where a link points.
func (d *Dir) Readlink(name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	var n int
	err := retry(func() (err error) { n, err = unix.Readlinkat(d.fd, name, buffer); return err })
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// CheckReadable is nil where this process may read what lies under the name.
func (d *Dir) CheckReadable(name string) error {
	return retry(func() error {
		return unix.Faccessat(d.fd, name, unix.R_OK, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Names reads the next names of the directory, n at the most; io.EOF after the
// last. Nothing but names is asked for: where the file system tells no types,
// os.File.ReadDir would look them up by path and drop what it does not find.
func (d *Dir) Names(n int) ([]string, error) { return d.file.Readdirnames(n) }

// AllNames reads the whole directory: each name once, sorted. Where the directory is
// changed meanwhile, readdir may miss a name that was there all along, or tell one
// twice: the directory is read up to five times then.
func (d *Dir) AllNames() ([]string, error) {
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

func (d *Dir) namesOnce() ([]string, error) {
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
