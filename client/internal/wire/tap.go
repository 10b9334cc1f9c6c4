package wire

import (
	"errors"
	"net"
	"time"
)

// tap is where bytes enter and leave: it reads and writes a net.Conn, in time, and may
// have taken bytes that nobody has read yet. One goroutine reads, one writes.
type tap struct {
	conn    net.Conn
	timeout time.Duration // of read and write; 0: as long as it takes
	first   [1]byte       // what await has taken, if held
	held    bool
	ahead   []byte // what readAhead has taken
	files   descriptors
}

// Read gives what await and readAhead have taken, and then what arrives.
func (t *tap) Read(p []byte) (int, error) {
	if t.held && len(p) > 0 {
		t.held = false
		return copy(p, t.first[:]), nil
	}
	if len(t.ahead) > 0 {
		n := copy(p, t.ahead)
		if t.ahead = t.ahead[n:]; len(t.ahead) == 0 {
			t.ahead = nil
		}
		return n, nil
	}
	if t.timeout == 0 {
		return t.receive(p)
	}
	return t.readInTime(p)
}

// readInTime reads from a server that has to send something within the timeout.
func (t *tap) readInTime(p []byte) (int, error) {
	if err := t.conn.SetReadDeadline(time.Now().Add(t.timeout)); err != nil {
		return 0, err
	}
	n, err := t.receive(p)
	if err != nil {
		return n, t.timedOut(err)
	}
	return n, t.conn.SetReadDeadline(time.Time{}) // an idle connection waits without one
}

// write writes all of p.
func (t *tap) write(p []byte) error {
	if t.timeout == 0 {
		_, err := t.conn.Write(p)
		return err
	}
	if err := t.conn.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
		return err
	}
	if _, err := t.conn.Write(p); err != nil {
		return t.timedOut(err)
	}
	return t.conn.SetWriteDeadline(time.Time{})
}

// timedOut is a [TimeoutError] where err says that a deadline has passed, else err.
func (t *tap) timedOut(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &TimeoutError{t.timeout}
	}
	return err
}

// await returns when there is a byte to read, which the next Read gives, or with the
// connection's error.
func (t *tap) await() error {
	if t.held {
		return nil
	}
	n, err := t.conn.Read(t.first[:])
	if n == 1 {
		t.held = true
		return nil
	}
	return err
}

// A server gives up a connection from which nothing is read for a minute
// (wal_sender_timeout). Who waits longer than that for something else takes a little of
// what has arrived every now and then, into memory.
const (
	readAheadBytes = 256 << 10 // in a call: enough for the server to see that something moves
	readAheadMost  = 64 << 20  // in all; then the connection is left to its fate
)

// readAhead takes what has arrived, within the bounds. An error of the connection shows
// again when it is read the next time.
func (t *tap) readAhead() {
	if len(t.ahead)+readAheadBytes > readAheadMost {
		return
	}
	if t.conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)) != nil {
		return
	}
	defer func() { _ = t.conn.SetReadDeadline(time.Time{}) }() // fails where Read fails, too
	buffer := make([]byte, readAheadBytes)
	for len(buffer) > 0 {
		n, err := t.receive(buffer)
		t.ahead = append(t.ahead, buffer[:n]...)
		if err != nil {
			return
		}
		buffer = buffer[n:]
	}
}
