package datatree

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// newFile is a file that was created, while its content is written. It is the bare descriptor:
// what os.File does besides, for files that are waited for and are closed by somebody else, takes
// two system calls and a tenth of the client's time of a small file. The errors are those of the
// system. One goroutine uses it, but for writeAt, and closes it.
type newFile struct {
	fd   int
	file *os.File // of the descriptor, once somebody needs one
}

// createIn creates the file name, which has no slash, in an open directory.
func createIn(dir int, name string, mode fs.FileMode) (newFile, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(mode.Perm()))
		if !errors.Is(err, unix.EINTR) {
			return newFile{fd: fd}, err
		}
	}
}

// permissions are the permissions that the file has now.
func (f *newFile) permissions() (fs.FileMode, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(f.fd, &st) })
	return fs.FileMode(st.Mode & 0o777), err
}

func (f *newFile) chmod(mode fs.FileMode) error {
	return retry(func() error { return unix.Fchmod(f.fd, uint32(mode.Perm())) })
}

// write writes all of p behind what was written before.
func (f *newFile) write(p []byte) error {
	return writeAll(p, func(rest []byte, _ int) (int, error) { return unix.Write(f.fd, rest) })
}

// writeAt writes all of p at an offset. Several goroutines may call it at once, and write and
// close when they are done.
func (f *newFile) writeAt(p []byte, offset int64) error {
	return writeAll(p, func(rest []byte, done int) (int, error) { return unix.Pwrite(f.fd, rest, offset+int64(done)) })
}

// writeAll calls write for what is left of p until all is written.
func writeAll(p []byte, write func(rest []byte, done int) (int, error)) error {
	for done := 0; done < len(p); {
		n, err := write(p[done:], done)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.EIO // as the kernel never has it
		}
		done += n
	}
	return nil
}

// skip leaves n bytes out: where more is written, they are a hole.
func (f *newFile) skip(n int64) error {
	_, err := unix.Seek(f.fd, n, unix.SEEK_CUR)
	return err
}

func (f *newFile) truncate(size int64) error {
	return retry(func() error { return unix.Ftruncate(f.fd, size) })
}

// asFile is the file as others take it. It is closed with f.
func (f *newFile) asFile(name string) *os.File {
	if f.file == nil {
		f.file = os.NewFile(uintptr(f.fd), name)
	}
	return f.file
}

func (f *newFile) close() error {
	if f.file != nil {
		return f.file.Close()
	}
	return unix.Close(f.fd)
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
