package livecluster_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// rawSession is a replication session that keeps every byte it gets.
type rawSession struct {
	*walsendertest.RawClient
	t       testing.TB
	payload int // bytes of CopyData so far
}

// rawConnect opens a session by its socket, and reads the greeting.
func rawConnect(t testing.TB, dir string, port int, user string) *rawSession {
	t.Helper()
	conn, err := net.Dial("unix", fmt.Sprintf("%s/.s.PGSQL.%d", dir, port))
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	s := &rawSession{RawClient: walsendertest.NewRawClient(t, conn), t: t}
	s.Startup(map[string]string{"user": user, "replication": "true", "application_name": "oracle"})
	return s
}

// message reads a message and returns it as a readable line: its kind and its bytes.
func (s *rawSession) message() (kind byte, line string) {
	s.t.Helper()
	kind, body, err := s.Next()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, "EOF"
	}
	must(s.t, err)
	if kind == 'd' {
		s.payload += len(body)
	}
	return kind, fmt.Sprintf("%c %q", kind, body)
}

// until reads up to a message of that kind, or to the end.
func (s *rawSession) until(last byte) []string {
	s.t.Helper()
	var lines []string
	for {
		kind, line := s.message()
		lines = append(lines, line)
		if kind == last || kind == 0 {
			return lines
		}
	}
}

func (s *rawSession) send(messages ...pgproto3.FrontendMessage) {
	s.t.Helper()
	var p []byte
	for _, m := range messages {
		var err error
		p, err = m.Encode(p)
		must(s.t, err)
	}
	s.Write(p)
}

func query(text string) *pgproto3.Query { return &pgproto3.Query{String: text} }

// query sends a command; a copy towards the server is ended at once.
func (s *rawSession) query(text string) []string {
	s.t.Helper()
	s.send(query(text))
	if strings.HasPrefix(text, "START_REPLICATION") {
		kind, first := s.message()
		if kind == 'W' {
			s.send(&pgproto3.CopyDone{})
		}
		return append([]string{first}, withoutData(s.until('Z'))...)
	}
	return s.until('Z')
}

// withoutData leaves out the messages whose bytes hold the time.
func withoutData(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !strings.HasPrefix(line, "d ") {
			kept = append(kept, line)
		}
	}
	return kept
}

// TestPassThrough_SameBytes compares what PostgreSQL answers with what comes through
// the server.
func TestPassThrough_SameBytes(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	sql(t, s.Cluster, "CHECKPOINT; SELECT pg_switch_wal()")
	for _, text := range []string{
		"IDENTIFY_SYSTEM",
		"IDENTIFY_SYSTEM;",
		"IDENTIFY_SYSTEM extra",
		"SHOW wal_segment_size",
		"SHOW data_directory_mode",
		"SHOW server_version",
		"SHOW max_wal_senders",
		"SHOW work_mem",
		"SHOW nosuch",
		"SHOW",
		"SHOW application_name",
		"TIMELINE_HISTORY 1",
		"TIMELINE_HISTORY 7",
		"TIMELINE_HISTORY 0",
		"READ_REPLICATION_SLOT nosuch",
		`CREATE_REPLICATION_SLOT "held" TEMPORARY PHYSICAL ( RESERVE_WAL false)`,
		`CREATE_REPLICATION_SLOT "held" TEMPORARY PHYSICAL`,
		"READ_REPLICATION_SLOT held",
		"START_REPLICATION 0/2000000 TIMELINE 1",
		"START_REPLICATION SLOT held 0/2000000 TIMELINE 1",
		"START_REPLICATION 0/2000000 TIMELINE 3",
		"START_REPLICATION SLOT nosuch 0/2000000",
		"DROP_REPLICATION_SLOT held",
		"DROP_REPLICATION_SLOT held WAIT",
		"SELECT 1",
		"select pg_read_file('/etc/passwd')",
		"COPY (SELECT 1) TO PROGRAM 'true'",
		"BASE_BACKUP FAST",
		"BASE_BACKUP ( NOSUCH )",
		"BASE_BACKUP ( LABEL 'TARGET', MAX_RATE 1)",
		"ALTER SYSTEM SET work_mem = 1",
		"VACUUM",
	} {
		t.Run(text, func(t *testing.T) {
			// PostgreSQL writes WAL of its own now and then, and tells its end in some answers.
			var diff string
			for range 3 {
				want := answerOnce(t, s, rawConnect(t, s.SocketDir, s.Port, "passer"), text)
				got := answerOnce(t, s, rawConnect(t, s.dir, servedPort, "whoever"), text)
				if diff = cmp.Diff(want, got); diff == "" {
					return
				}
			}
			t.Errorf("answer (-direct +passed):\n%s", diff)
		})
	}
}

// answerOnce is the answer to a command in a session that ends with it, and whose slot is
// gone then. Commands about the slot "held" find it there.
func answerOnce(t *testing.T, s *served, session *rawSession, text string) []string {
	t.Helper()
	if strings.Contains(text, "held") && !strings.HasPrefix(text, "CREATE") {
		session.query(`CREATE_REPLICATION_SLOT "held" TEMPORARY PHYSICAL`)
	}
	answer := session.query(text)
	session.Conn.Close()
	wait(t, "the slot is gone", func() bool {
		return sql(t, s.Cluster, "SELECT count(*) FROM pg_replication_slots") == "0"
	})
	return answer
}
