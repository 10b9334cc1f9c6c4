package walsendertest_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// rawClient is a session whose answers tell once what comes several times in a row.
type rawClient struct {
	*walsendertest.RawClient
	id string // of the backup that it started
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
	return &rawClient{RawClient: walsendertest.NewRawClient(t, conn)}
}

// connect opens a session and returns what it was greeted with.
func connect(t testing.TB, s *walsendertest.Server) (*rawClient, []string) {
	t.Helper()
	c := dial(t, s)
	return c, c.startup()
}

func (c *rawClient) startup() []string {
	return folded(c.Startup(map[string]string{"user": "backup", "replication": "true"}))
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

func (c *rawClient) query(command string) []string { return folded(c.Query(command)) }

func (c *rawClient) answer() []string { return folded(c.Answer()) }

// folded is an answer in which what comes several times in a row is told once.
func folded(answer []string) []string {
	var lines []string
	for begin := 0; begin < len(answer); {
		end := begin + 1
		for end < len(answer) && answer[end] == answer[begin] {
			end++
		}
		line := answer[begin]
		if times := end - begin; times > 1 {
			line = fmt.Sprintf("%s (%d times)", line, times)
		}
		lines, begin = append(lines, line), end
	}
	return lines
}
