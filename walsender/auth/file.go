package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds a file of rules, users or maps, in bytes.
const maxFile = 4 << 20

// readFile reads a file; a private one must not be open to the world.
func readFile(name string, private bool) ([]byte, error) {
	f, err := os.Open(name)
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	if err != nil {
		return nil, fmt.Errorf("could not open file %q: %w", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", name)
	}
	if private && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("users file %q is open to the world: it must have permissions u=rw,g=r (0640) or less", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%q is larger than %d bytes", name, maxFile)
	}
	return text, err
}
