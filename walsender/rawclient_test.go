package walsender_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
)

// patience bounds what a test waits for. It is far above what anything takes.
const patience = 20 * time.Second

// rawClient speaks the protocol byte by byte, and says what it hears in words.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	in   *wire.FrameReader

	key    pgproto3.BackendKeyData
	params map[string]string
}

// rawDial connects without a word.
func rawDial(t testing.TB, addr net.Addr) *rawClient {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	return newRawClient(t, conn)
}

func newRawClient(t testing.TB, conn net.Conn) *rawClient {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &rawClient{t: t, conn: conn, in: wire.NewFrameReader(conn, 2<<20), params: map[string]string{}}
}

// connect opens a session for the user and reads the greeting.
func connect(t testing.TB, addr net.Addr, user string) *rawClient {
	t.Helper()
	c := rawDial(t, addr)
	got := c.startup(map[string]string{"user": user, "replication": "true"})
	if last := got[len(got)-1]; last != "ReadyForQuery I" {
		t.Fatalf("greeting ends with %s", last)
	}
	return c
}

// reconnect opens a session as soon as a server has a place for one.
func reconnect(t testing.TB, addr net.Addr) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got := rawDial(t, addr).startup(map[string]string{"user": "backup", "replication": "true"})
		if got[len(got)-1] == "ReadyForQuery I" {
			return
		}
	}
	t.Fatal("no place is given back")
}

// startup sends a StartupMessage and returns the answer up to ReadyForQuery or the
// end of the connection.
func (c *rawClient) startup(parameters map[string]string) []string {
	c.t.Helper()
	c.write(wire.StartupMessage{Major: 3, Parameters: parameters}.Encode(nil))
	return c.answer()
}

func (c *rawClient) write(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// send sends Query messages, all in one write.
func (c *rawClient) send(texts ...string) {
	c.t.Helper()
	var p []byte
	for _, text := range texts {
		p, _ = (&pgproto3.Query{String: text}).Encode(p)
	}
	c.write(p)
}

// query sends a command and returns its answer.
func (c *rawClient) query(text string) []string {
	c.t.Helper()
	c.send(text)
	return c.answer()
}

// answer reads messages up to ReadyForQuery or the end of the connection, which is
// told as "EOF".
func (c *rawClient) answer() []string {
	c.t.Helper()
	var lines []string
	for {
		line := c.message()
		lines = append(lines, line)
		if line == "EOF" || strings.HasPrefix(line, "ReadyForQuery") {
			return lines
		}
	}
}

// message reads one message.
func (c *rawClient) message() string {
	c.t.Helper()
	kind, body, err := c.in.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || isReset(err) {
		return "EOF"
	}
	if err != nil {
		c.t.Fatalf("reading a message: %v", err)
	}
	return c.describe(kind, body)
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset by peer") }

func (c *rawClient) describe(kind byte, body []byte) string {
	switch kind {
	case 'R':
		return "AuthenticationOk"
	case 'S':
		var m pgproto3.ParameterStatus
		c.decode(&m, body)
		c.params[m.Name] = m.Value
		return "ParameterStatus " + m.Name + "=" + m.Value
	case 'K':
		c.decode(&c.key, body)
		c.key.SecretKey = append([]byte(nil), c.key.SecretKey...)
		return "BackendKeyData"
	case 'v':
		var m pgproto3.NegotiateProtocolVersion
		c.decode(&m, body)
		return fmt.Sprintf("NegotiateProtocolVersion %d %q", m.NewestMinorProtocol, m.UnrecognizedOptions)
	case 'Z':
		return "ReadyForQuery " + string(body)
	case 'T':
		var m pgproto3.RowDescription
		c.decode(&m, body)
		return "RowDescription " + describeColumns(m)
	case 'D':
		var m pgproto3.DataRow
		c.decode(&m, body)
		return "DataRow " + describeValues(m)
	case 'C':
		var m pgproto3.CommandComplete
		c.decode(&m, body)
		return "CommandComplete " + string(m.CommandTag)
	case 'I':
		return "EmptyQueryResponse"
	case 'H':
		return "CopyOutResponse"
	case 'W':
		return "CopyBothResponse"
	case 'G':
		return "CopyInResponse"
	case 'd':
		return fmt.Sprintf("CopyData %d bytes", len(body))
	case 'c':
		return "CopyDone"
	case 'E':
		var m pgproto3.ErrorResponse
		c.decode(&m, body)
		return "ErrorResponse " + describeError(&m)
	case 'N':
		var m pgproto3.NoticeResponse
		c.decode(&m, body)
		return "NoticeResponse " + describeError((*pgproto3.ErrorResponse)(&m))
	}
	c.t.Fatalf("unknown message %q", kind)
	return ""
}

func (c *rawClient) decode(m interface{ Decode([]byte) error }, body []byte) {
	c.t.Helper()
	if err := m.Decode(body); err != nil {
		c.t.Fatalf("decoding %T: %v", m, err)
	}
}

func describeColumns(m pgproto3.RowDescription) string {
	types := map[uint32]string{18: `"char"`, 20: "int8", 25: "text", 26: "oid"}
	columns := make([]string, len(m.Fields))
	for i, f := range m.Fields {
		columns[i] = string(f.Name) + " " + types[f.DataTypeOID]
	}
	return "(" + strings.Join(columns, ", ") + ")"
}

func describeValues(m pgproto3.DataRow) string {
	values := make([]string, len(m.Values))
	for i, v := range m.Values {
		values[i] = "NULL"
		if v != nil {
			values[i] = fmt.Sprintf("%q", v)
		}
	}
	return "(" + strings.Join(values, ", ") + ")"
}

func describeError(m *pgproto3.ErrorResponse) string {
	text := m.Severity + " " + m.Code + " " + m.Message
	if m.Detail != "" {
		text += " | detail: " + m.Detail
	}
	if m.Hint != "" {
		text += " | hint: " + m.Hint
	}
	if m.Position != 0 {
		text += fmt.Sprintf(" | position: %d", m.Position)
	}
	return text
}

// value takes the n-th value of the first DataRow of an answer.
func value(t testing.TB, answer []string, n int) string {
	t.Helper()
	for _, line := range answer {
		if row, found := strings.CutPrefix(line, "DataRow ("); found {
			values := strings.Split(strings.TrimSuffix(row, ")"), ", ")
			return strings.Trim(values[n], `"`)
		}
	}
	t.Fatalf("no DataRow in %q", answer)
	return ""
}
