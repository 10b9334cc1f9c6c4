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
