package livecluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// codeUndefinedFunction is PostgreSQL's SQLSTATE for a function that does not exist.
const codeUndefinedFunction = "42883"

// scramIterations is scram_iterations of a PostgreSQL that has no such parameter (before 16).
const scramIterations = 4096

// LookupPassword asks the server by [Config.AuthQuery] for the password of a role, as it is
// stored, and for the iterations of passwords to come. The password is empty where the
// query has no row, or a NULL in it. It asks for one role at a time, over a connection
// of its own, so that peers who are not let in yet cannot use up PostgreSQL's.
func (c *Cluster) LookupPassword(ctx context.Context, role string) (rolpassword string, iterations int, err error) {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return "", 0, context.Cause(ctx)
	}
	// Whether the server is the directory's matters to backups only: the connection
	// string says whose roles count.
	s, err := openSQL(ctx, c.sql)
	if err != nil {
		return "", 0, err
	}
	defer s.close()
	return s.lookupPassword(ctx, c.authQuery, role)
}

func (s *sqlSession) lookupPassword(ctx context.Context, query, role string) (rolpassword string, iterations int, err error) {
	iterations = scramIterations
	setting, err := s.row(ctx, "SELECT pg_catalog.current_setting('scram_iterations', true)")
	if err != nil {
		return "", 0, err
	}
	if n, err := strconv.Atoi(setting[0]); err == nil {
		iterations = n
	}
	answer := s.conn.ExecParams(ctx, query, [][]byte{[]byte(role)}, nil, nil, []int16{pgproto3.TextFormat})
	var rows [][]string
	for answer.NextRow() {
		var row []string
		for _, value := range answer.Values() {
			row = append(row, string(value))
		}
		rows = append(rows, row)
	}
	columns := len(answer.FieldDescriptions())
	_, err = answer.Close()
	switch {
	case isCode(err, protocol.CodeInsufficientPrivilege), isCode(err, codeUndefinedFunction), isCode(err, protocol.CodeSyntaxError):
		return "", 0, fmt.Errorf("the query of --auth-query: %w; cmd/pgparallel/docs/network.md has the function that it needs", oneLine(err))
	case err != nil:
		return "", 0, fmt.Errorf("the query of --auth-query: %w", oneLine(err))
	case columns != 2:
		return "", 0, errors.New("the query of --auth-query must have two columns: the role, and its password as it is stored")
	case len(rows) == 0:
		return "", iterations, nil
	case len(rows) > 1:
		return "", 0, errors.New("the query of --auth-query has more than one row")
	case rows[0][0] != role:
		return "", 0, errors.New("the query of --auth-query has a row of another role")
	}
	return rows[0][1], iterations, nil
}
