package datatree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// exchangeAtOnce is an exchange of names in one step. The error wraps errors.ErrUnsupported where
// the kernel, or the file system, has none.
func exchangeAtOnce(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// isMountPoint reports whether a directory is one, as far as the kernel tells: from Linux 5.8 on. One
// of the same file system (a bind mount) has the device of its parent.
func isMountPoint(path string) bool {
	var s unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, 0, &s)
	return err == nil && s.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
