package beneath

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrSpecial is what an open comes to that met neither a file nor a directory: a link, a
// socket, a FIFO, a device.
var ErrSpecial = errors.New("not a regular file")

// File is an open regular file, which is read at offsets: one of its own, or a part of an
// archive. The caller closes it.
type File struct {
	fd    int
	start int64 // of the file in what the descriptor is of
	size  int64 // less than 0: to the end of that
	asOf  contentStamp
}

// contentStamp tells whether the content of a file is as it was. Another name of the file,
// or another mode, changes it not.
type contentStamp struct {
	ID
	size  int64
	mtime unix.Timespec
}

func contentStampOf(st unix.Stat_t) contentStamp { return contentStamp{IDOf(st), st.Size, st.Mtim} }

// Part is the file that lies in f, with a descriptor of its own.
func (f File) Part(start, size int64) (File, error) {
	fd := -1
	err := retry(func() (err error) { fd, err = unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0); return err })
	return File{fd: fd, start: f.start + start, size: max(size, 0), asOf: f.asOf}, err
}

// Unchanged reports whether nobody has written to the file since it was opened, or, of a
// part, to the file that it lies in; in so far as the clock of the file system can tell.
func (f File) Unchanged() (bool, error) {
	st, err := f.Status()
	return err == nil && f.Is(st), err
}

// Status is the status of what the file lies in, as it is now.
func (f File) Status() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(f.fd, &st) })
	return st, err
}

// Is reports whether the status is that of the file as it was opened.
func (f File) Is(st unix.Stat_t) bool { return contentStampOf(st) == f.asOf }

// Descriptor is the descriptor that the file is read by. It is not whole where it is of more
// than the file.
func (f File) Descriptor() (fd int, whole bool) { return f.fd, f.size < 0 }

func (d *diskDir) Open(name string) (File, unix.Stat_t, error) {
	// Before it is opened: that would let a writer go who waits at a FIFO, or do
	// what a device does when it is opened.
	st, err := d.Lstat(name)
	if err == nil && FileType(st) != unix.S_IFREG && FileType(st) != unix.S_IFDIR {
		return File{}, st, ErrSpecial
	}
	return d.OpenKnown(name)
}

func (d *diskDir) OpenKnown(name string) (File, unix.Stat_t, error) {
	var st unix.Stat_t
	open := openBeneath
	if strings.IndexByte(name, '/') < 0 {
		open = openName
	}
	fd, err := open(d.fd, name, openFlags)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return File{}, st, ErrSpecial
	case err != nil:
		return File{}, st, err
	}
	err = retry(func() error { return unix.Fstat(fd, &st) })
	if err == nil {
		switch FileType(st) {
		case unix.S_IFREG:
			return File{fd: fd, size: -1, asOf: contentStampOf(st)}, st, nil
		case unix.S_IFDIR:
			err = unix.EISDIR
		default:
			err = ErrSpecial
		}
	}
	_ = unix.Close(fd) // it was not read
	return File{}, st, err
}

func (d *diskDir) Read(name string, limit int64) ([]byte, unix.Stat_t, error) {
	f, st, err := d.Open(name)
	if err != nil {
		return nil, st, err
	}
	defer f.Close()
	data := make([]byte, min(limit, st.Size))
	n, err := f.ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], st, err
}

// ReadAt is as io.ReaderAt has it.
func (f File) ReadAt(p []byte, offset int64) (int, error) {
	want := len(p)
	if f.size >= 0 {
		want = int(min(int64(want), max(f.size-offset, 0)))
	}
	done := 0
	for done < want {
		n, err := unix.Pread(f.fd, p[done:want], f.start+offset+int64(done))
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
	if want < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// Close closes the descriptor.
func (f File) Close() error { return unix.Close(f.fd) }
