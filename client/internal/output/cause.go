package output

import (
	"errors"
	"io/fs"
	"os"
)

// Cause is the error of the system in an error of a file operation: messages name the file
// themselves.
func Cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return err
}
