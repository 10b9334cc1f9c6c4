package walsender_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// patience bounds what a test waits for. It is far above what anything takes.
const patience = time.Minute

// rawClient is a client that fails the test where a connection ends otherwise than
// between two messages. A reset is such an end: a server that closes a connection with
// bytes unread sends one.
type rawClient struct {
	*walsendertest.RawClient
	t testing.TB
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
	conn.SetDeadline(time.Now().Add(patience))
	return &rawClient{walsendertest.NewRawClient(t, conn), t}
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
	return c.checked(c.Startup(parameters)...)
}

// query sends a command and returns its answer.
func (c *rawClient) query(text string) []string {
	c.t.Helper()
	return c.checked(c.Query(text)...)
}

// answer reads messages up to ReadyForQuery or the end of the connection, which is
// told as "EOF".
func (c *rawClient) answer() []string {
	c.t.Helper()
	return c.checked(c.Answer()...)
}

// message reads one message.
func (c *rawClient) message() string {
	c.t.Helper()
	return c.checked(c.Message())[0]
}

// checked are the lines of an answer, of which only the last can be an end.
func (c *rawClient) checked(lines ...string) []string {
	c.t.Helper()
	switch last := &lines[len(lines)-1]; *last {
	case "RST":
		*last = "EOF"
	case "torn", "timeout":
		c.t.Fatalf("reading a message: %s, after %q", *last, lines[:len(lines)-1])
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "message ") {
			c.t.Fatalf("unknown message: %s", line)
		}
	}
	return lines
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset by peer") }

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
