package client

import (
	"errors"
	"io/fs"
	"os"
)

// cause is the error of the system in an error of a file operation: messages name the file
// themselves.
func cause(err error) error {
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
