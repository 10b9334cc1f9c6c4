package datadir

import (
	"strings"

	"golang.org/x/sys/unix"
)

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
		fd, err := openat(at, component, use)
		if err != nil && isLink(at, component) { // the systems differ in what they call it
			err = unix.ELOOP
		}
		if at != dirfd {
			_ = unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

func isLink(dirfd int, name string) bool {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return err == nil && fileType(st) == unix.S_IFLNK
}
