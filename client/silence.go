package client

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// silentError says that a server neither answers nor reads any more, for longer than
// [Options.Timeout]. It ends the backup: there is no telling whether another
// connection would do better.
type silentError struct{ patience time.Duration }

// Error implements error.
func (e *silentError) Error() string {
	return fmt.Sprintf("server has been silent for %v", e.patience)
}

// Timeout makes it a net.Error's kind of timeout.
func (*silentError) Timeout() bool { return true }

// readPatiently is Read for which the server has to do something within the patience.
func (t *tap) readPatiently(p []byte) (int, error) {
	if err := t.conn.SetReadDeadline(time.Now().Add(t.patience)); err != nil {
		return 0, err
	}
	n, err := t.conn.Read(p)
	if err != nil {
		return n, t.silent(err)
	}
	return n, t.conn.SetReadDeadline(time.Time{}) // an idle connection waits without one
}

// write writes all of p.
func (t *tap) write(p []byte) error {
	if t.patience == 0 {
		_, err := t.conn.Write(p)
		return err
	}
	if err := t.conn.SetWriteDeadline(time.Now().Add(t.patience)); err != nil {
		return err
	}
	if _, err := t.conn.Write(p); err != nil {
		return t.silent(err)
	}
	return t.conn.SetWriteDeadline(time.Time{})
}

// silent is a [silentError] where err says that the deadline has passed.
func (t *tap) silent(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &silentError{t.patience}
	}
	return err
}
