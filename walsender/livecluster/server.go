package livecluster

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// server is what a session found out about the server that it is connected to.
type server struct {
	systemID   uint64
	started    int64 // Unix seconds
	port       int
	version    string // as server_version has it
	versionNum int
	inRecovery bool
	postmaster postmaster // the file that it was held against
}

// identify asks the server who it is, and makes sure that it is the one that runs on
// the data directory.
func (c *Cluster) identify(ctx context.Context, s *sqlSession) (server, error) {
	found, err := s.server(ctx)
	if err != nil {
		return server{}, err
	}
	control, err := c.Control(ctx)
	if err != nil {
		return server{}, err
	}
	if found.postmaster, err = readPostmaster(c.path); err != nil {
		return server{}, err
	}
	return found, found.check(c.path, control)
}

// server asks for everything at once.
func (s *sqlSession) server(ctx context.Context) (server, error) {
	id, err := s.row(ctx, "SELECT system_identifier FROM pg_control_system()")
	if isCode(err, protocol.CodeInsufficientPrivilege) {
		return server{}, missing("EXECUTE on pg_control_system()", "GRANT EXECUTE ON FUNCTION pg_control_system() TO "+s.role(ctx))
	}
	if err != nil {
		return server{}, err
	}
	row, err := s.row(ctx, "SELECT floor(extract(epoch from pg_postmaster_start_time()))::bigint, current_setting('port'), "+
		"current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery()")
	if err != nil {
		return server{}, err
	}
	found := server{version: row[2], inRecovery: row[4] == "t"}
	// A bigint in SQL, which knows no unsigned ones.
	signed, err := strconv.ParseInt(id[0], 10, 64)
	if err == nil {
		found.started, err = strconv.ParseInt(row[0], 10, 64)
	}
	if err == nil {
		found.port, err = strconv.Atoi(row[1])
	}
	if err == nil {
		found.versionNum, err = strconv.Atoi(row[3])
	}
	if err != nil {
		return server{}, fmt.Errorf("could not understand the cluster's answer: %w", err)
	}
	found.systemID = uint64(signed)
	return found, nil
}

// check compares the server with the data directory. Two clusters can have one system
// identifier, as a primary and its standby do: hence the rest.
func (s server) check(dir string, control datadir.Control) error {
	other := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the server is not the one that runs on %q: %s",
			dir, fmt.Sprintf(format, args...)).
			WithHint("Give the connection string of the server that runs on this data directory.")
	}
	apart := s.started - s.postmaster.started
	switch {
	case s.systemID != control.SystemID:
		return other("its system identifier is %d, the data directory has %d", s.systemID, control.SystemID)
	case s.port != s.postmaster.port:
		return other("its port is %d, postmaster.pid has %d", s.port, s.postmaster.port)
	case apart < -1 || apart > 1:
		return other("it was not started when postmaster.pid says, but %d seconds apart", apart)
	}
	return nil
}

// role is the session's role as SQL has it.
func (s *sqlSession) role(ctx context.Context) string {
	row, err := s.row(ctx, "SELECT quote_ident(current_user)")
	if err != nil {
		return "the role"
	}
	return row[0]
}
