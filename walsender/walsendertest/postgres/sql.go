package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// SQL runs statements in a database, each in its own transaction, up to the
// first that fails, and returns what psql prints: a line a row, the columns
// separated by "|", no header, without the last newline.
func (c *Cluster) SQL(ctx context.Context, database, statements string) (string, error) {
	cmd := c.Programs.Command(ctx, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", c.ConnString(database))
	// From standard input psql sends statement by statement. With -c it would
	// send all of them as one transaction, where CREATE DATABASE cannot be.
	cmd.Stdin = strings.NewReader(statements)
	out, err := run(ctx, cmd)
	return strings.TrimSuffix(out, "\n"), err
}

// Databases are the names of the databases that take connections, ascending.
func (c *Cluster) Databases(ctx context.Context) ([]string, error) {
	const query = `select json_agg(datname order by datname) from pg_database where datallowconn`
	out, err := c.SQL(ctx, "postgres", query)
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal([]byte(out), &names); err != nil {
		return nil, fmt.Errorf("listing the databases: %w", err)
	}
	return names, nil
}

// Pgbench runs pgbench on a database: with "-i", "-s", "10" it fills it at scale
// 10 (about 150 MB), with "-c", "2", "-T", "5" it is load for five seconds.
func (c *Cluster) Pgbench(ctx context.Context, database string, args ...string) error {
	// The database is pgbench's last argument, and may be a connection string
	// only from PostgreSQL 14 on.
	args = append([]string{"-h", c.SocketDir, "-p", c.port(), "-U", "postgres"}, args...)
	_, err := c.Programs.Run(ctx, "pgbench", append(args, database)...)
	return err
}
