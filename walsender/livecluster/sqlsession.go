package livecluster

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// closeTime bounds how long a session's end, or the answer to a CancelRequest, is
// waited for (§3.5).
const closeTime = time.Second

// sqlSession is an SQL connection to the server. One goroutine at a time uses it.
type sqlSession struct {
	conn   *pgconn.PgConn
	notice protocol.NoticeFunc // hears what PostgreSQL has to say, never nil
}

// openSQL connects and sets the session up. The caller closes it.
func openSQL(ctx context.Context, configs []*pgconn.Config) (*sqlSession, error) {
	s := &sqlSession{notice: func(*protocol.Error) {}}
	conn, _, err := connect(ctx, configs, func(config *pgconn.Config) {
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { s.notice(fromNotice(n)) }
	})
	if err != nil {
		return nil, err
	}
	s.conn = conn
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepare makes the session one that waits as long as it takes, but not for a client
// that is gone.
func (s *sqlSession) prepare(ctx context.Context) error {
	if err := s.checkDirect(ctx); err != nil {
		return err
	}
	settings := []string{
		"client_encoding = 'UTF8'", "standard_conforming_strings = on", "search_path = pg_catalog",
		"client_min_messages = notice",
		"statement_timeout = 0", "lock_timeout = 0", "idle_in_transaction_session_timeout = 0",
		"tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3",
	}
	version, err := s.row(ctx, "SHOW server_version_num")
	if err != nil {
		return err
	}
	if version[0] >= "140000" {
		settings = append(settings, "idle_session_timeout = 0")
	}
	if version[0] >= "170000" {
		settings = append(settings, "transaction_timeout = 0")
	}
	if _, err := s.query(ctx, "SET "+strings.Join(settings, "; SET ")); err != nil {
		return err
	}
	if version[0] < "140000" {
		return nil
	}
	// Some platforms cannot look for a client that is gone: there the
	// CancelRequest alone has to do.
	_, err = s.query(ctx, "SET client_connection_check_interval = '1s'")
	if isCode(err, protocol.CodeInvalidParameterValue) {
		return nil
	}
	return err
}

// checkDirect refuses a connection pooler: a backup is a matter of one server
// process, and a CancelRequest must reach it.
func (s *sqlSession) checkDirect(ctx context.Context) error {
	for range 2 {
		pid, err := s.row(ctx, "SELECT pg_catalog.pg_backend_pid()")
		if err != nil {
			return err
		}
		if pid[0] != fmt.Sprint(s.conn.PID()) {
			return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
				"the connection to the cluster is not a direct one: the server's process is %s, not %d", pid[0], s.conn.PID()).
				WithHint("Connect to PostgreSQL itself, not to a connection pooler.")
		}
	}
	return nil
}

// row runs a query that has one row.
func (s *sqlSession) row(ctx context.Context, sql string) ([]string, error) {
	rows, err := s.query(ctx, sql)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || len(rows[0]) == 0 {
		return nil, fmt.Errorf("the cluster answered with %d rows instead of one", len(rows))
	}
	return rows[0], nil
}

// query runs SQL, by the simple protocol, and returns the rows of its last result;
// NULL is the empty string. When ctx ends, the server is asked to cancel it: one that
// waits for a checkpoint would not notice a mere close for minutes.
func (s *sqlSession) query(ctx context.Context, sql string) ([][]string, error) {
	canceled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(canceled)
		s.cancel()
	})
	results, err := s.conn.Exec(context.Background(), sql).ReadAll()
	if !stop() {
		<-canceled
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, result := range results[max(0, len(results)-1):] {
		for _, values := range result.Rows {
			row := make([]string, len(values))
			for i, v := range values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// cancel sends a CancelRequest, and bounds what then is still to be read.
func (s *sqlSession) cancel() {
	ctx, release := context.WithTimeout(context.Background(), closeTime)
	defer release()
	_ = s.conn.CancelRequest(ctx) // where it fails the deadline has to do
	_ = s.conn.Conn().SetDeadline(time.Now().Add(closeTime))
}

// watch waits until the connection is lost, and returns why, or nil when ctx ends.
// The session can be used again then.
func (s *sqlSession) watch(ctx context.Context) error {
	for {
		err := s.conn.WaitForNotification(ctx)
		switch {
		case ctx.Err() != nil && !s.conn.IsClosed():
			return nil
		case err != nil:
			return oneLine(err)
		}
	}
}

// close ends the session, and waits a while for the server's process to end: only
// then is the cluster out of backup mode.
func (s *sqlSession) close() {
	conn := s.conn.Conn()
	if !s.conn.IsClosed() && conn.SetDeadline(time.Now().Add(closeTime)) == nil {
		s.conn.Frontend().Send(&pgproto3.Terminate{})
		if s.conn.Frontend().Flush() == nil {
			_, _ = io.Copy(io.Discard, conn) // up to the server's close
		}
	}
	ctx, release := context.WithTimeout(context.Background(), closeTime)
	defer release()
	_ = s.conn.Close(ctx)
	_ = conn.Close()
	select {
	case <-s.conn.CleanupDone():
	case <-ctx.Done():
	}
}

// literal is a string constant of SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
