package walsendertest

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
)

// longestHeard is the longest message that a RawClient takes, in bytes.
const longestHeard = 4 << 20

// RawClient is a client for tests of servers. It speaks the protocol message by message,
// waits for nothing that it is not told to wait for, and tells what it hears in the words
// of a [Transcript]:
//
//	conn, err := server.Dial(ctx)
//	…
//	c := walsendertest.NewRawClient(t, conn)
//	greeting := c.Startup(map[string]string{"user": "backup", "replication": "true"})
//	answer := c.Query("LIST_TABLESPACES") // RowDescription …, DataRow …, CommandComplete …, ReadyForQuery I
//
// The end of a connection has a word, too: "EOF", "RST" for a reset, "torn" for an end
// within a message, "timeout" where the deadline of Conn has passed. One goroutine at a
// time may use a RawClient.
type RawClient struct {
	Conn       net.Conn                // as it was given; a deadline is the test's to set
	Parameters map[string]string       // each ParameterStatus so far
	Key        pgproto3.BackendKeyData // what a CancelRequest needs; zero until it has come

	t      TB
	frames *wire.FrameReader
}

// NewRawClient makes a client of a connection on which nothing has been said. The
// connection is closed when the test ends. Where Conn can be encrypted, it is already.
func NewRawClient(t TB, conn net.Conn) *RawClient {
	t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	return &RawClient{Conn: conn, Parameters: map[string]string{}, t: t, frames: wire.NewFrameReader(conn, longestHeard)}
}

// Startup sends a StartupMessage of protocol 3.0 and returns its answer.
func (c *RawClient) Startup(parameters map[string]string) []string {
	c.t.Helper()
	c.Write(wire.StartupMessage{Major: 3, Parameters: parameters}.Encode(nil))
	return c.Answer()
}

// Write sends bytes. The test fails at once where that is not possible.
func (c *RawClient) Write(p []byte) {
	c.t.Helper()
	if _, err := c.Conn.Write(p); err != nil {
		c.t.Fatalf("sending %d bytes: %v", len(p), err)
	}
}

// Send sends commands, each in a Query, and all of them in one write.
func (c *RawClient) Send(commands ...string) {
	c.t.Helper()
	var p []byte
	for _, command := range commands {
		p, _ = (&pgproto3.Query{String: command}).Encode(p) // only a gigabyte cannot be encoded
	}
	c.Write(p)
}

// Query sends a command and returns its answer.
func (c *RawClient) Query(command string) []string {
	c.t.Helper()
	c.Send(command)
	return c.Answer()
}

// Answer reads up to ReadyForQuery or the end of the connection, a line a message.
func (c *RawClient) Answer() []string {
	c.t.Helper()
	var lines []string
	for {
		line := c.Message()
		lines = append(lines, line)
		if strings.HasPrefix(line, "ReadyForQuery") || slices.Contains([]string{"EOF", "RST", "torn", "timeout"}, line) {
			return lines
		}
	}
}

// Message reads a message, or the end of the connection.
func (c *RawClient) Message() string {
	c.t.Helper()
	kind, body, err := c.Next()
	switch {
	case err == nil:
		return describe(kind, body)
	case errors.Is(err, syscall.ECONNRESET):
		return "RST"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "torn"
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.t.Errorf("reading a message: %v", err)
	}
	return "EOF"
}

// Next reads a message as it is: for what Message has no words for. The body is valid
// until the next one is read. The error is that of protocol/wire.FrameReader.
func (c *RawClient) Next() (kind byte, body []byte, err error) {
	kind, body, err = c.frames.Next()
	if err != nil {
		return kind, body, err
	}
	switch kind {
	case 'S':
		var m pgproto3.ParameterStatus
		if m.Decode(body) == nil {
			c.Parameters[m.Name] = m.Value
		}
	case 'K':
		var m pgproto3.BackendKeyData
		if m.Decode(body) == nil {
			m.SecretKey = slices.Clone(m.SecretKey)
			c.Key = m
		}
	}
	return kind, body, nil
}
