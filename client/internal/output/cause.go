package output

import (
	"errors"
	"io/fs"
	"os"
)

// Cause is the error of the system in an error of a file operation: messages name the file
// themselves.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
