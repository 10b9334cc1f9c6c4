package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// maxMessage is the longest body of a message that is believed.
const maxMessage = wire.MaxFrame

// conn is a connection after its startup. One goroutine uses it; abort may be
// called by any.
type conn struct {
	net        net.Conn
	tap        *tap // reads net
	frames     *wire.FrameReader
	out        []byte
	parameters map[string]string
	pid        uint32 // of the server's process, by BackendKeyData
	notice     protocol.NoticeFunc
	unbind     func() bool
	unanswered int // notices and parameters since the last command was complete
}

// newConn takes over a connection that is ready for a query, for as long as ctx.
func newConn(ctx context.Context, c net.Conn, parameters map[string]string, notice protocol.NoticeFunc) *conn {
	t := &tap{conn: c}
	n := &conn{net: c, tap: t, frames: wire.NewFrameReader(t, maxMessage), parameters: parameters, notice: notice}
	n.unbind = context.AfterFunc(ctx, n.abort)
	return n
}

// close ends the session as it should be ended.
func (c *conn) close() {
	if c.unbind() {
		// A server that does not read any more must not hold us up.
		c.net.SetWriteDeadline(time.Now().Add(time.Second))
		c.net.Write([]byte{'X', 0, 0, 0, 4})
	}
	c.abort()
}

// abort closes the connection at once: whoever reads or writes gets an error.
func (c *conn) abort() {
	if t, ok := c.net.(*tls.Conn); ok {
		t.NetConn().Close() // tls.Conn.Close would wait for a writer
		return
	}
	c.net.Close()
}

// lostError says that a connection is of no use any more, by nobody's decision
// here. Another connection may do better.
type lostError struct{ err error }

// Error implements error.
func (e *lostError) Error() string { return e.err.Error() }

// Unwrap gives errors.Is and errors.As the cause.
func (e *lostError) Unwrap() error { return e.err }

func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("server closed the connection unexpectedly: %w", err)
	}
	return &lostError{err}
}

// ask appends a query to what flush sends.
func (c *conn) ask(command string) error {
	var err error
	c.out, err = (&pgproto3.Query{String: command}).Encode(c.out)
	return err
}

func (c *conn) flush() error {
	err := c.tap.write(c.out)
	c.out = c.out[:0]
	if silent := (*silentError)(nil); errors.As(err, &silent) {
		return err
	}
	if err != nil {
		return c.farewell(lost(fmt.Errorf("could not send command to server: %w", err)))
	}
	return nil
}

// farewell is what the server said before it closed a connection to which nothing
// can be written any more, or else err.
func (c *conn) farewell(err error) error {
	for {
		_, _, readErr := c.next()
		var reason *protocol.Error
		if errors.As(readErr, &reason) {
			return readErr
		}
		if readErr != nil {
			return err
		}
	}
}

// next is the next message that belongs to a command. What the server says
// besides is dealt with here; an error that ends the session is a lostError.
func (c *conn) next() (kind byte, body []byte, err error) {
	for {
		kind, body, err := c.frames.Next()
		if violation := (*protocol.Error)(nil); errors.As(err, &violation) {
			return 0, nil, err
		}
		if silent := (*silentError)(nil); errors.As(err, &silent) {
			return 0, nil, silent
		}
		if err != nil {
			return 0, nil, lost(err)
		}
		unasked, err := c.unasked(kind, body)
		if kind == 'Z' {
			c.unanswered = 0
		}
		if err != nil || !unasked {
			return kind, body, err
		}
	}
}

// unasked deals with a message that may come at any time, and reports whether it
// was one. A session's last error is an error.
func (c *conn) unasked(kind byte, body []byte) (bool, error) {
	switch kind {
	case 'N':
		var m pgproto3.NoticeResponse
		if err := m.Decode(body); err != nil {
			return true, err
		}
		if err := c.countUnasked(); err != nil {
			return true, err
		}
		c.notice(wire.DecodeError((*pgproto3.ErrorResponse)(&m)))
		return true, nil
	case 'S':
		var m pgproto3.ParameterStatus
		if err := m.Decode(body); err != nil {
			return true, err
		}
		if err := c.countUnasked(); err != nil {
			return true, err
		}
		c.parameters[m.Name] = m.Value
		return true, nil
	case 'E':
		e, err := decodeError(body)
		if err == nil && e.Fatal() {
			err = lost(e)
		}
		return false, err
	}
	return false, nil
}

// maxUnasked is how many notices and parameters a server may send within a command. It
// is far above what one has to say about files, and ends with an error what would not
// end otherwise.
const maxUnasked = 100000

func (c *conn) countUnasked() error {
	if c.unanswered++; c.unanswered > maxUnasked {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "server sent more than %d notices and parameters within a command", maxUnasked)
	}
	return nil
}

func decodeError(body []byte) (*protocol.Error, error) {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return nil, err
	}
	return wire.DecodeError(&m), nil
}

// rows sends a command and hands each row of its result to row. The values are
// valid during the call only. The error of the server is a *protocol.Error and
// comes after the rows that it sent; the connection is then ready for the next
// command, after any other error it is not.
func (c *conn) rows(command string, row func(protocol.Row) error) error {
	if err := c.ask(command); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	var refused error
	var m pgproto3.DataRow
	complete := false
	for {
		kind, body, err := c.next()
		if err != nil {
			return err
		}
		switch kind {
		case 'T':
		case 'D':
			if err := m.Decode(body); err != nil {
				return err
			}
			if err := row(m.Values); err != nil {
				return err
			}
		case 'C':
			complete = true
		case 'E':
			if refused, err = decodeError(body); err != nil {
				return err
			}
		case 'Z':
			if refused == nil && !complete {
				return fmt.Errorf("server did not complete the command")
			}
			return refused
		default:
			return unexpected(kind)
		}
	}
}

func unexpected(kind byte) error {
	return protocol.Fatalf(protocol.CodeProtocolViolation, "unexpected message of type %q from server", kind)
}

// row is rows for a command whose result is one row.
func row[T any](c *conn, command string, decode func(protocol.Row) (T, error)) (T, error) {
	var value T
	n := 0
	err := c.rows(command, func(r protocol.Row) (err error) {
		n++
		value, err = decode(r)
		return err
	})
	if err == nil && n != 1 {
		err = fmt.Errorf("server returned %d rows, expected 1", n)
	}
	return value, err
}

// command is rows for a command without a result.
func (c *conn) command(command string) error {
	return c.rows(command, func(protocol.Row) error { return errors.New("unexpected row from server") })
}
