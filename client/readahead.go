package client

import "time"

// A server gives up a connection from which nothing is read for a minute
// (wal_sender_timeout). A worker that waits longer than that for its turn with an
// archive takes a little of what has come every now and then, into memory.
const (
	readAheadBytes = 256 << 10 // in an interval: enough for the server to see that something moves
	readAheadMost  = 64 << 20  // after 85 minutes; then the connection is left to its fate
)

// readAhead takes what has come from the server, within the bounds. What is wrong with
// the connection shows when it is read the next time.
func (c *conn) readAhead() {
	t := c.tap
	if len(t.ahead)+readAheadBytes > readAheadMost {
		return
	}
	if t.conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)) != nil {
		return
	}
	defer t.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	buffer := make([]byte, readAheadBytes)
	for len(buffer) > 0 {
		n, err := t.conn.Read(buffer)
		t.ahead = append(t.ahead, buffer[:n]...)
		if err != nil {
			return
		}
		buffer = buffer[n:]
	}
}
