package wire

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// bulkBytes is how much is read at once below TLS: eight records, whose payload has 16 KiB at
// the most. crypto/tls asks for one or two at a time.
const bulkBytes = 128 << 10

// bulkConn is the connection below TLS, which is read in large pieces once bulk is set. One
// goroutine reads at a time.
type bulkConn struct {
	net.Conn
	bulk   bool
	buffer []byte
	unread []byte // of buffer
}

// Read gives what was read before, or reads anew.
func (c *bulkConn) Read(p []byte) (int, error) {
	if !c.bulk || len(c.unread) == 0 && len(p) >= bulkBytes {
		return c.Conn.Read(p)
	}
	if len(c.unread) == 0 {
		if c.buffer == nil {
			c.buffer = make([]byte, bulkBytes)
		}
		n, err := c.Conn.Read(c.buffer)
		if n == 0 {
			return 0, err
		}
		c.unread = c.buffer[:n] // an error besides comes again
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// bulkReading makes the connections bulkConns, for readInBulk.
func bulkReading(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &bulkConn{Conn: c}, nil
	}
}

// readInBulk is the connection as it is used after the startup, which nobody reads now: what
// TLS reads is read in large pieces from here on, and what is not TLS has nothing between.
func readInBulk(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *bulkConn:
		return c.Conn
	case *tls.Conn:
		if below, ok := c.NetConn().(*bulkConn); ok {
			below.bulk = true
		}
	}
	return c
}
