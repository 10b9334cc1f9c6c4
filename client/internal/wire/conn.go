package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

// maxMessage is the longest body of a message that is believed.
const maxMessage = pgwire.MaxFrame

// Conn is a connection after its startup. One goroutine uses it, but for [Conn.Abort],
// which any may call, and [Conn.Send].
type Conn struct {
	Parameters map[string]string // what the server has reported of its settings, by name
	PID        uint32            // of the server's process, by BackendKeyData

	// RateChanged is told of another rate of the backup that the connection leads (§8.2), in
	// kB per second, 0 for none, by the goroutine that reads. Nil: nobody is.
	RateChanged func(kBps int)

	net        net.Conn
	tap        *tap // reads net
	frames     *pgwire.FrameReader
	out        []byte // queries that Flush sends
	notice     protocol.NoticeFunc
	unbind     func() bool
	unanswered int // notices and parameters since the last command was complete
}

// NewConn takes over a connection that is ready for a query. When ctx ends, the
// connection is aborted. Notice is called by the goroutine that reads.
func NewConn(ctx context.Context, c net.Conn, notice protocol.NoticeFunc) *Conn {
	t := &tap{conn: c}
	n := &Conn{Parameters: map[string]string{}, net: c, tap: t, frames: pgwire.NewFrameReader(t, maxMessage), notice: notice}
	n.unbind = context.AfterFunc(ctx, n.Abort)
	return n
}

// Has reports whether the server has announced the extension to this session: a client uses
// no other (§8.1).
func (c *Conn) Has(e protocol.Extension) bool {
	return e.Announced(c.Parameters[protocol.ParameterExtensions])
}

// Close ends the session as it should be ended.
func (c *Conn) Close() {
	if c.unbind() {
		// A server that does not read any more must not hold us up.
		c.net.SetWriteDeadline(time.Now().Add(time.Second))
		c.net.Write([]byte{'X', 0, 0, 0, 4})
	}
	c.Abort()
}

// Abort closes the connection at once: whoever reads or writes gets an error.
func (c *Conn) Abort() {
	if t, ok := c.net.(*tls.Conn); ok {
		t.NetConn().Close() // tls.Conn.Close would wait for a writer
		return
	}
	c.net.Close()
}

// LostError says that a connection is of no use any more, by nobody's decision
// here. Another connection may do better.
type LostError struct {
	Err error // why; not nil
}

func (e *LostError) Error() string { return e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &oneLine{"server closed the connection unexpectedly", err}
	}
	return &LostError{Err: err}
}

// Ask appends a query to what Flush sends.
func (c *Conn) Ask(command string) error { return c.append(&pgproto3.Query{String: command}) }

// Flush sends the queries that were asked, if there are any.
func (c *Conn) Flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.tap.write(c.out)
	c.out = c.out[:0]
	if _, late := errors.AsType[*TimeoutError](err); late {
		return err
	}
	if err != nil {
		return c.farewell(lost(fmt.Errorf("could not send command to server: %w", err)))
	}
	return nil
}

// farewell is what the server said before it closed a connection to which nothing
// can be written any more, or else err.
func (c *Conn) farewell(err error) error {
	for {
		_, _, readErr := c.Next()
		if _, told := errors.AsType[*protocol.Error](readErr); told {
			return readErr
		}
		if readErr != nil {
			return err
		}
	}
}

// Send writes a message as it is, beside the queries. While one goroutine reads the
// connection, another may call it; never two at a time.
func (c *Conn) Send(message []byte) error { return c.tap.write(message) }

// ReadAhead takes what has arrived from the server, up to 256 KiB a call and 64 MiB in
// all, and leaves it to Next. Who keeps the server waiting calls it three times a minute;
// the bound is reached after 85 minutes then.
func (c *Conn) ReadAhead() { c.tap.readAhead() }

// Next is the next message that belongs to a command; its body is valid until the next
// call. What the server says besides is dealt with here. An error that ends the session
// is a *[LostError] or a *[TimeoutError], or a *[protocol.Error] where the server breaks
// the protocol.
func (c *Conn) Next() (kind byte, body []byte, err error) {
	for {
		kind, body, err := c.frames.Next()
		if _, violation := errors.AsType[*protocol.Error](err); violation {
			return 0, nil, err
		}
		if late, ok := errors.AsType[*TimeoutError](err); ok {
			return 0, nil, late
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
func (c *Conn) unasked(kind byte, body []byte) (bool, error) {
	switch kind {
	case 'N':
		var m pgproto3.NoticeResponse
		if err := m.Decode(body); err != nil {
			return true, err
		}
		if err := c.countUnasked(); err != nil {
			return true, err
		}
		c.notice(pgwire.DecodeError((*pgproto3.ErrorResponse)(&m)))
		return true, nil
	case 'S':
		var m pgproto3.ParameterStatus
		if err := m.Decode(body); err != nil {
			return true, err
		}
		if err := c.countUnasked(); err != nil {
			return true, err
		}
		if m.Name == protocol.ParameterMaxRate {
			c.tellRate(m.Value)
			return true, nil
		}
		c.Parameters[m.Name] = m.Value
		return true, nil
	case 'E':
		e, err := DecodeError(body)
		if err == nil && e.Fatal() {
			err = lost(e)
		}
		return false, err
	}
	return false, nil
}

// tellRate hands a rate on. One that is none says nothing.
func (c *Conn) tellRate(value string) {
	if rate, err := strconv.Atoi(value); err == nil && rate >= 0 && c.RateChanged != nil {
		c.RateChanged(rate)
	}
}

// maxUnasked is how many notices and parameters a server may send within a command. It
// is far above what one has to say about files, and ends with an error what would not
// end otherwise.
const maxUnasked = 100000

func (c *Conn) countUnasked() error {
	if c.unanswered++; c.unanswered > maxUnasked {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "server sent more than %d notices and parameters within a command", maxUnasked)
	}
	return nil
}

// DecodeError is the error of an ErrorResponse.
func DecodeError(body []byte) (*protocol.Error, error) {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return nil, err
	}
	return pgwire.DecodeError(&m), nil
}

// Rows sends a command and hands each row of its result to row. The values are
// valid during the call only. The error of the server is a *protocol.Error and
// comes after the rows that it sent; the connection is then ready for the next
// command, after any other error it is not.
func (c *Conn) Rows(command string, row func(protocol.Row) error) error {
	if err := c.Ask(command); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	var refused error
	var m pgproto3.DataRow
	complete := false
	for {
		kind, body, err := c.Next()
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
			if refused, err = DecodeError(body); err != nil {
				return err
			}
		case 'Z':
			if refused == nil && !complete {
				return fmt.Errorf("server did not complete the command")
			}
			return refused
		default:
			return Unexpected(kind)
		}
	}
}

// Unexpected is the error for a message that has no place where it came.
func Unexpected(kind byte) error {
	return protocol.Fatalf(protocol.CodeProtocolViolation, "unexpected message of type %q from server", kind)
}

// Row is [Conn.Rows] for a command whose result is one row.
func Row[T any](c *Conn, command string, decode func(protocol.Row) (T, error)) (T, error) {
	var value T
	n := 0
	err := c.Rows(command, func(r protocol.Row) (err error) {
		n++
		value, err = decode(r)
		return err
	})
	if err == nil && n != 1 {
		err = fmt.Errorf("server returned %d rows, expected 1", n)
	}
	return value, err
}

// Command is [Conn.Rows] for a command without a result.
func (c *Conn) Command(command string) error {
	return c.Rows(command, func(protocol.Row) error { return errors.New("unexpected row from server") })
}

// DropNotices has nobody told of what the server says, until end is called.
func (c *Conn) DropNotices() (end func()) {
	notice := c.notice
	c.notice = func(*protocol.Error) {}
	return func() { c.notice = notice }
}
