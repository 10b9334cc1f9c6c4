package beneath

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// ErrSpecial is what an open comes to that met neither a file nor a directory: a link, a
// socket, a FIFO, a device.
var ErrSpecial = errors.New("not a regular file")

// File is the descriptor of an open regular file, which is read at offsets. The caller
// closes it.
type File int

// Open opens a regular file beneath d. ErrSpecial stands for links, sockets and the
// like, unix.EISDIR for directories.
func (d *Dir) Open(name string) (File, unix.Stat_t, error) {
	// Before it is opened: that would let a writer go who waits at a FIFO, or do
	// what a device does when it is opened.
	st, err := d.Lstat(name)
	if err == nil && FileType(st) != unix.S_IFREG && FileType(st) != unix.S_IFDIR {
		return -1, st, ErrSpecial
	}
	fd, err := openBeneath(d.fd, name, openFlags)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return -1, st, ErrSpecial
	case err != nil:
		return -1, st, err
	}
	err = retry(func() error { return unix.Fstat(fd, &st) })
	if err == nil {
		switch FileType(st) {
		case unix.S_IFREG:
			return File(fd), st, nil
		case unix.S_IFDIR:
			err = unix.EISDIR
		default:
			err = ErrSpecial
		}
	}
	_ = unix.Close(fd) // it was not read
	return -1, st, err
}

// Read is the content of a file: limit bytes at the most, and no more than the file had
// when it was opened.
func (d *Dir) Read(name string, limit int64) ([]byte, unix.Stat_t, error) {
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
	done := 0
	for done < len(p) {
		n, err := unix.Pread(int(f), p[done:], offset+int64(done))
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

// Close closes the descriptor.
func (f File) Close() error { return unix.Close(int(f)) }
