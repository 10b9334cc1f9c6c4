package livecluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// server is what a session found out about the server that it is connected to.
type server struct {
	systemID   uint64
	version    string // as server_version has it
	versionNum int
	inRecovery bool
	senders    int  // max_wal_senders
	replicates bool // the role may: it has REPLICATION, or is a superuser

	directory  string     // of the data directory on which it was found to run
	postmaster postmaster // the file there
	asked      time.Time  // when it answered
}

// identify asks the server who it is, and makes sure that it is the one that runs on
// the data directory.
func (c *Cluster) identify(ctx context.Context, s *sqlSession) (server, error) {
	found, err := s.server(ctx)
	if err != nil {
		return server{}, err
	}
	found.directory, found.asked = c.Directory(), time.Now()
	if found.postmaster, err = c.readPostmaster(); err != nil {
		return server{}, err
	}
	if found.systemID != c.SystemID() {
		return server{}, c.elsewhere("its system identifier is %d, the data directory has %d", found.systemID, c.SystemID())
	}
	return found, c.prove(ctx, s)
}

// server asks for everything at once.
func (s *sqlSession) server(ctx context.Context) (server, error) {
	id, err := s.row(ctx, "SELECT system_identifier FROM pg_control_system()")
	if err != nil {
		return server{}, s.mayRun(ctx, err, "pg_control_system()")
	}
	row, err := s.row(ctx, "SELECT current_setting('server_version'), current_setting('server_version_num'), "+
		"pg_is_in_recovery(), current_setting('max_wal_senders'), rolreplication OR rolsuper FROM pg_roles WHERE rolname = session_user")
	if err != nil {
		return server{}, err
	}
	found := server{version: row[0], inRecovery: row[2] == "t", replicates: row[4] == "t"}
	// A bigint in SQL, which knows no unsigned ones.
	signed, err := strconv.ParseInt(id[0], 10, 64)
	if err == nil {
		found.versionNum, err = strconv.Atoi(row[1])
	}
	if err == nil {
		found.senders, err = strconv.Atoi(row[3])
	}
	if err != nil {
		return server{}, fmt.Errorf("could not understand the cluster's answer: %w", err)
	}
	found.systemID = uint64(signed)
	return found, nil
}

// prove makes sure that the session's server runs on the data directory that is open.
// System identifier, port and host do not tell a cluster from its copies, but a file
// that the server writes into its own directory does. Every role may export a snapshot,
// on a standby too; its file names the session's process (snapmgr.c), and is removed
// with the transaction.
func (c *Cluster) prove(ctx context.Context, s *sqlSession) error {
	row, err := s.row(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot()")
	if err != nil {
		return s.mayRun(ctx, err, "pg_export_snapshot()")
	}
	text, readErr := c.ReadFile("pg_snapshots/" + row[0])
	if _, err := s.query(ctx, "ROLLBACK"); err != nil {
		return err
	}
	switch {
	case errors.Is(readErr, fs.ErrNotExist):
		return c.elsewhere("a snapshot that it exports is not there")
	case readErr != nil:
		return fmt.Errorf("could not read the snapshot that the cluster has exported: %w", readErr)
	case !strings.Contains("\n"+string(text), fmt.Sprintf("\npid:%d\n", s.conn.PID())):
		return c.elsewhere("a snapshot there is another process's")
	}
	return nil
}

// elsewhere is the answer where a server runs on another directory.
func (c *Cluster) elsewhere(format string, args ...any) error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the server is not the one that runs on %q: %s",
		c.path, fmt.Sprintf(format, args...)).
		WithHint("Give the connection string of the server that runs on this data directory.")
}

// mayRun is err, or what mends it where the role may not run the function.
func (s *sqlSession) mayRun(ctx context.Context, err error, function string) error {
	if !isCode(err, protocol.CodeInsufficientPrivilege) {
		return err
	}
	if s.conn.TxStatus() != 'I' {
		_, _ = s.query(ctx, "ROLLBACK") // where it fails the role's name is not known, that is all
	}
	return missing("EXECUTE on "+function, "GRANT EXECUTE ON FUNCTION "+function+" TO "+s.role(ctx))
}

// role is the session's role as SQL has it.
func (s *sqlSession) role(ctx context.Context) string {
	row, err := s.row(ctx, "SELECT quote_ident(current_user)")
	if err != nil {
		return "the role"
	}
	return row[0]
}
