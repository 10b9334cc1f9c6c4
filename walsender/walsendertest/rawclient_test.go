package walsendertest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	protowire "github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// rawClient speaks the protocol message by message and says what it hears in the words
// of a transcript.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	in   *protowire.FrameReader
	id   string // of the backup that it started
}

// dial connects without a word.
func dial(t testing.TB, s *walsendertest.Server) *rawClient {
	t.Helper()
	conn, err := s.Dial(t.Context())
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(2*time.Hour)))
	return talk(t, conn)
}

func talk(t testing.TB, conn net.Conn) *rawClient {
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t: t, conn: conn, in: protowire.NewFrameReader(conn, 4<<20)}
}

// connect opens a session and returns what it was greeted with.
func connect(t testing.TB, s *walsendertest.Server) (*rawClient, []string) {
	t.Helper()
	c := dial(t, s)
	return c, c.startup()
}

func (c *rawClient) startup() []string {
	c.t.Helper()
	m := protowire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "backup", "replication": "true"}}
	_, err := c.conn.Write(m.Encode(nil))
	must(c.t, err)
	return c.answer()
}

// leader opens a session that has started a backup.
func leader(t testing.TB, s *walsendertest.Server) *rawClient {
	t.Helper()
	c, greeting := connect(t, s)
	if last := greeting[len(greeting)-1]; last != "ReadyForQuery I" {
		t.Fatalf("the greeting ends with %s", last)
	}
	for _, line := range c.query("START_BACKUP FAST") {
		if strings.HasPrefix(line, "DataRow") {
			c.id = line[strings.LastIndex(line, ", ")+3 : len(line)-2]
		}
	}
	return c
}

func (c *rawClient) send(command string) {
	c.t.Helper()
	p, _ := (&pgproto3.Query{String: command}).Encode(nil)
	_, err := c.conn.Write(p)
	must(c.t, err)
}

// query sends a command and returns the answer up to ReadyForQuery or the end, with
// what comes several times in a row told once.
func (c *rawClient) query(command string) []string {
	c.t.Helper()
	c.send(command)
	return c.answer()
}

func (c *rawClient) answer() []string {
	var lines []string
	times := 1
	for {
		line := c.message()
		switch last := len(lines) - 1; {
		case last >= 0 && strings.TrimSuffix(lines[last], fmt.Sprintf(" (%d times)", times)) == line:
			times++
			lines[last] = fmt.Sprintf("%s (%d times)", line, times)
		default:
			lines, times = append(lines, line), 1
		}
		switch {
		case strings.HasPrefix(line, "ReadyForQuery"), line == "EOF", line == "RST", line == "torn", line == "timeout":
			return lines
		}
	}
}

func (c *rawClient) message() string {
	kind, body, err := c.in.Next()
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return "RST"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "torn"
	case errors.Is(err, io.EOF):
		return "EOF"
	case err != nil:
		c.t.Errorf("reading a message: %v", err)
		return "EOF"
	}
	return walsendertest.Describe(kind, body)
}
