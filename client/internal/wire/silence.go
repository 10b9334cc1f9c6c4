package wire

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// SilentError says that a server neither answers nor reads any more, for longer than
// [Config.Timeout]. It ends the backup: there is no telling whether another
// connection would do better.
type SilentError struct{ patience time.Duration }

func (e *SilentError) Error() string {
	return fmt.Sprintf("server has been silent for %v", e.patience)
}

// Timeout makes it a net.Error's kind of timeout.
func (*SilentError) Timeout() bool { return true }

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

// silent is a [SilentError] where err says that the deadline has passed.
func (t *tap) silent(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &SilentError{t.patience}
	}
	return err
}

// AllowSilence lets the server be silent once it has said what it waits for, which may
// be its archive, and take hours. It returns what ends that.
func (c *Conn) AllowSilence() (end func()) {
	notice, patience := c.notice, c.tap.patience
	c.notice = func(n *protocol.Error) {
		c.tap.patience = 0
		notice(n)
	}
	return func() { c.notice, c.tap.patience = notice, patience }
}
