package wire

import "time"

// A server gives up a connection from which nothing is read for a minute
// (wal_sender_timeout). Who waits longer than that for something else takes a little of
// what has come every now and then, into memory.
const (
	readAheadBytes = 256 << 10 // in a call: enough for the server to see that something moves
	readAheadMost  = 64 << 20  // in all; then the connection is left to its fate
)

// ReadAhead takes what has come from the server, up to 256 KiB, and 64 MiB in all, which
// Next finds again. It is to be called three times a minute while nobody reads: the bound
// is reached after 85 minutes then. What is wrong with the connection shows when it is read the next time.
func (c *Conn) ReadAhead() {
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
