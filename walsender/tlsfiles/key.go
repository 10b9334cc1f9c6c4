package tlsfiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// readKey reads a private key that others cannot read (be-secure-common.c,
// check_ssl_key_file_permissions). It looks at the file that it reads.
func readKey(name string) ([]byte, error) {
	// A FIFO must not keep the server from starting.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("could not access private key file %q: %w", name, errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("could not access private key file %q: %w", name, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("private key file %q is not a regular file", name)
	}
	forbidden := fs.FileMode(0o077)
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		switch int(owner.Uid) {
		case 0:
			forbidden = 0o037
		case os.Geteuid():
		default:
			return nil, fmt.Errorf("private key file %q must be owned by the user who runs the server, or root", name)
		}
	}
	if info.Mode().Perm()&forbidden != 0 {
		return nil, fmt.Errorf("private key file %q has group or world access; it must have permissions u=rw (0600) or less, or u=rw,g=r (0640) or less if root owns it", name)
	}
	return io.ReadAll(f)
}
