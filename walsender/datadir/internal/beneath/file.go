package beneath

import (
	"errors"
	"io"

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
}

// Part is the file that lies in another one, an open descriptor of which it takes.
func Part(fd int, start, size int64) File { return File{fd, start, max(size, 0)} }

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
	fd, err := openBeneath(d.fd, name, openFlags)
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
			return File{fd: fd, size: -1}, st, nil
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
