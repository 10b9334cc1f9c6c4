package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// HurryTime is how long a write under way may go on once the session must end: a peer that
// does not read is closed then (§1.9, §3.5).
const HurryTime = 500 * time.Millisecond

// Conn is a connection whose writes fail once the peer has read nothing for
// a while, however long a write takes as a whole: wal_sender_timeout (§7.1). It
// lies below TLS, because a write that fails above it would break the TLS stream.
type Conn struct {
	net.Conn

	mu      sync.Mutex
	timeout time.Duration // without any progress
	limit   time.Time     // not zero: the write under way must end by then
}

// NewConn makes a Conn of a connection, whose writes fail after the timeout; 0 and less mean
// never.
func NewConn(conn net.Conn, timeout time.Duration) *Conn { return &Conn{Conn: conn, timeout: timeout} }

// Wait sets the timeout of the writes to come.
func (c *Conn) Wait(timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timeout = timeout
}

// Write writes all of p, or fails when nothing moved for the timeout, or at the
// limit that Hurry set.
func (c *Conn) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.BeginWrite(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.hurried() {
			return written, err
		}
	}
}

// BeginWrite sets the deadline of one write to the connection below, which the caller is about
// to make.
func (c *Conn) BeginWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := c.limit
	if deadline.IsZero() && c.timeout > 0 {
		deadline = time.Now().Add(c.timeout)
	}
	return c.SetWriteDeadline(deadline)
}

func (c *Conn) hurried() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.limit.IsZero()
}

// Hurry lets the write under way and those to come go on for HurryTime at most. It may
// be called while another goroutine writes.
func (c *Conn) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit.IsZero() {
		c.limit = time.Now().Add(HurryTime)
		_ = c.SetWriteDeadline(c.limit) // a closed connection fails the write by itself
	}
}

// Unhurry takes Hurry back.
func (c *Conn) Unhurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = time.Time{}
}

// CloseWrite closes the writing side where the connection can, as TCP and unix
// sockets do.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Drain closes the writing side and reads on for a moment: closing a TCP connection
// with bytes unread would reset it, and the peer would lose the last message.
func Drain(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if conn.SetReadDeadline(time.Now().Add(HurryTime)) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}
