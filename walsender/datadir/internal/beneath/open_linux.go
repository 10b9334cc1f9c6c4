package beneath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// openBeneath opens a path beneath a directory without following any link.
// ELOOP is the answer to one.
func openBeneath(dirfd int, name string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd := -1
	err := retry(func() (err error) { fd, err = unix.Openat2(dirfd, name, &how); return err })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		// Linux before 5.6, or a container that filters what it does not know.
		return openComponents(dirfd, name, flags)
	}
	return fd, err
}
