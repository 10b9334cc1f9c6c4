package beneath

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// openFlags are those of every file: never wait for the other end of a FIFO,
// never follow a link.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC

// openComponents opens a path component by component, without following a link
// anywhere: what openat2 does in one call where there is one. The name holds no
// "..", so it cannot leave the directory.
func openComponents(dirfd int, name string, flags int) (int, error) {
	at := dirfd
	for {
		component, rest, more := strings.Cut(name, "/")
		use := flags
		if more {
			use = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		}
		fd, err := openName(at, component, use)
		if at != dirfd {
			_ = unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

// openName opens a name without a slash in a directory: without following a link, it leads nowhere
// else.
func openName(dirfd int, name string, flags int) (int, error) {
	fd, err := openat(dirfd, name, flags)
	if err != nil && isLink(dirfd, name) { // the systems differ in what they call it
		err = unix.ELOOP
	}
	return fd, err
}

func isLink(dirfd int, name string) bool {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return err == nil && FileType(st) == unix.S_IFLNK
}

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
