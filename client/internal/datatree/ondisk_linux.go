package datatree

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropPages drops the clean pages of a file from the page cache, and tells how far the file reaches: up
// to a hole at its end. Where no page of the end was ever written, the size may be nowhere but in
// memory, while zeros that a backup has written are no hole.
func dropPages(f *os.File, size int64) (int64, error) {
	fd := int(f.Fd())
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return 0, os.NewSyscallError("posix_fadvise", err)
	}
	if size == 0 {
		return 0, nil
	}
	if _, err := unix.Seek(fd, size-1, unix.SEEK_DATA); !errors.Is(err, unix.ENXIO) {
		return size, nil // or the file system does not know
	}
	end := int64(0)
	for end < size {
		data, err := unix.Seek(fd, end, unix.SEEK_DATA)
		if err != nil {
			break
		}
		if end, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil {
			return 0, os.NewSyscallError("lseek", err)
		}
	}
	return min(end, size), nil
}
