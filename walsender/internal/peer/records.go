package peer

import (
	"net"
	"sync"
)

// recordsSize is how much of what TLS makes is written at once: a frame of the usual size, in
// records of 16 KiB. crypto/tls writes each record by itself, and each would wake the peer
// for a sixteenth of what it waits for.
const recordsSize = 144 << 10

// recordBuffers has the memory for that. A session that rests keeps none.
var recordBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, recordsSize)
	return &buffer
}}

// recordConn is the connection below TLS. What TLS writes between gather and send, which one
// goroutine calls, goes out together. What another one has TLS write, as an alert, keeps its
// place: crypto/tls writes one record after the other.
type recordConn struct {
	net.Conn

	mu     sync.Mutex
	buffer *[]byte // nil: records go out as they come
	err    error   // the first: a stream that lacks a record is of no use
}

// gather begins to gather what is written.
func (c *recordConn) gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buffer = recordBuffers.Get().(*[]byte)
}

// send sends what has gathered, and gathers no more.
func (c *recordConn) send() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	recordBuffers.Put(c.buffer)
	c.buffer = nil
	return c.err
}

// Write writes a record, or keeps it until there are more.
func (c *recordConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buffer != nil && c.err == nil {
		if len(*c.buffer)+len(p) > recordsSize {
			c.flush()
		}
		*c.buffer = append(*c.buffer, p...)
		return len(p), c.err
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.Conn.Write(p)
	c.err = err
	return n, err
}

// flush writes what has gathered. The lock is held.
func (c *recordConn) flush() {
	if len(*c.buffer) > 0 && c.err == nil {
		_, c.err = c.Conn.Write(*c.buffer)
	}
	*c.buffer = (*c.buffer)[:0]
}
