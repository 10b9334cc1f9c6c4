package datadir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// openFlags are those of every file: never wait for the other end of a FIFO,
// never follow a link.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC

// errSpecial is what an open comes to that met neither a file nor a directory.
var errSpecial = errors.New("not a regular file")

// directory is an open directory. Files are opened relative to it and never
// outside of it: names are valid by protocol.CheckPath, and no component may be
// a link. It may be used from many goroutines, names alone excepted.
type directory struct {
	file *os.File
	fd   int
}

// openDirectory opens the directory that the administrator named, through
// whatever links lead there.
func openDirectory(path string) (*directory, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return newDirectory(fd, path), nil
}

func newDirectory(fd int, name string) *directory {
	return &directory{file: os.NewFile(uintptr(fd), name), fd: fd}
}

func (d *directory) close() error { return d.file.Close() }

// sub opens a directory beneath d, "." for d itself with a reading position of
// its own.
func (d *directory) sub(name string) (*directory, error) {
	fd, err := openBeneath(d.fd, name, openFlags&^unix.O_NONBLOCK|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return newDirectory(fd, name), nil
}

// follow opens the directory to which a link beneath d leads, as the kernel follows it
// for PostgreSQL: a relative one from the directory that holds it. A directory in the
// place of the link is opened itself.
func (d *directory) follow(name string) (*directory, error) {
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return newDirectory(fd, name), nil
}

// open opens a regular file beneath d. The caller closes the descriptor.
// errSpecial stands for links, sockets and the like; unix.EISDIR for
// directories.
func (d *directory) open(name string) (int, unix.Stat_t, error) {
	// Before it is opened: that would let a writer go who waits at a FIFO, or do
	// what a device does when it is opened.
	st, err := d.lstat(name)
	if err == nil && fileType(st) != unix.S_IFREG && fileType(st) != unix.S_IFDIR {
		return -1, st, errSpecial
	}
	fd, err := openBeneath(d.fd, name, openFlags)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return -1, st, errSpecial
	case err != nil:
		return -1, st, err
	}
	err = retry(func() error { return unix.Fstat(fd, &st) })
	if err == nil {
		switch fileType(st) {
		case unix.S_IFREG:
			return fd, st, nil
		case unix.S_IFDIR:
			err = unix.EISDIR
		default:
			err = errSpecial
		}
	}
	_ = unix.Close(fd)
	return -1, st, err
}

// read is the content of a file that has at most limit bytes.
func (d *directory) read(name string, limit int64) ([]byte, unix.Stat_t, error) {
	fd, st, err := d.open(name)
	if err != nil {
		return nil, st, err
	}
	defer unix.Close(fd)
	data := make([]byte, min(limit, st.Size))
	n, err := preader(fd).ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], st, err
}

// lstat is the status of what lies under the name, links not followed.
func (d *directory) lstat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// stat is the status of what the name leads to, as the kernel follows links.
func (d *directory) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, 0) })
	return st, err
}

// exists reports whether there is anything under the name. Only ENOENT says no.
func (d *directory) exists(name string) (bool, error) {
	_, err := d.lstat(name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// readlink is where a link points.
func (d *directory) readlink(name string) (string, error) {
	buffer := make([]byte, unix.PathMax)
	var n int
	err := retry(func() (err error) { n, err = unix.Readlinkat(d.fd, name, buffer); return err })
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// names reads the next names of the directory, n at the most; io.EOF after the
// last. Nothing but names is asked for: where the file system tells no types,
// os.File.ReadDir would look them up by path and drop what it does not find.
func (d *directory) names(n int) ([]string, error) { return d.file.Readdirnames(n) }

// allNames reads the whole directory: each name once, sorted. Where the directory is
// changed meanwhile, readdir may miss a name that was there all along, or tell one
// twice: it is read once more then, as often as attempts says.
func (d *directory) allNames() ([]string, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		before, err := d.lstat(".")
		if err != nil {
			return nil, err
		}
		names, err := d.namesOnce()
		if err != nil {
			return nil, err
		}
		after, err := d.lstat(".")
		if err != nil {
			return nil, err
		}
		if changeOf(before) == changeOf(after) || attempt == attempts {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
	}
}

func (d *directory) namesOnce() ([]string, error) {
	again, err := d.sub(".") // with a reading position of its own
	if err != nil {
		return nil, err
	}
	defer again.close()
	names, err := again.names(-1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// preader reads a descriptor at offsets.
type preader int

func (fd preader) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(int(fd), p[done:], offset+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// fileType is the S_IFMT part of the mode, as a number of one size on every system.
func fileType(st unix.Stat_t) uint32 { return uint32(st.Mode) & unix.S_IFMT }

// fileID tells files apart.
type fileID struct{ device, inode uint64 }

func identity(st unix.Stat_t) fileID { return fileID{uint64(st.Dev), uint64(st.Ino)} }

// change tells whether a directory is as it was: its names, that is, in so far as the
// clock of the file system can tell.
type change struct {
	fileID
	mtime, ctime unix.Timespec
}

func changeOf(st unix.Stat_t) change { return change{identity(st), st.Mtim, st.Ctim} }

func openat(dirfd int, name string, flags int) (int, error) {
	fd := -1
	err := retry(func() (err error) { fd, err = unix.Openat(dirfd, name, flags, 0); return err })
	return fd, err
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
