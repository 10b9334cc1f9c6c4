package walsender

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// stallConn is a connection whose writes fail once the peer has read nothing for
// a while, however long a write takes as a whole: wal_sender_timeout (§7.1). It
// lies below TLS, because a write that fails above it would break the TLS stream.
type stallConn struct {
	net.Conn

	mu      sync.Mutex
	timeout time.Duration // without any progress; 0 and less mean none
	limit   time.Time     // not zero: the write under way must end by then
}

// wait sets the timeout of the writes to come.
func (c *stallConn) wait(timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timeout = timeout
}

// Write writes all of p, or fails when nothing moved for the timeout, or at the
// limit that hurry set.
func (c *stallConn) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.setDeadline(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.hurried() {
			return written, err
		}
	}
}

func (c *stallConn) setDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := c.limit
	if deadline.IsZero() && c.timeout > 0 {
		deadline = time.Now().Add(c.timeout)
	}
	return c.SetWriteDeadline(deadline)
}

func (c *stallConn) hurried() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.limit.IsZero()
}

// hurry lets the write under way and those to come go on for at most d. It may
// be called while another goroutine writes.
func (c *stallConn) hurry(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit.IsZero() {
		c.limit = time.Now().Add(d)
		_ = c.SetWriteDeadline(c.limit) // a closed connection fails the write by itself
	}
}

// unhurry takes hurry back.
func (c *stallConn) unhurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = time.Time{}
}

// CloseWrite closes the writing side where the connection can, as TCP and unix
// sockets do.
func (c *stallConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
