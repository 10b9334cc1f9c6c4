package livecluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// connectTime bounds a connection attempt unless connect_timeout says otherwise.
const connectTime = 10 * time.Second

// Config says how to reach the cluster's server. Only ConnString is required.
type Config struct {
	// ConnString is where the server is and which role takes the backups, as
	// libpq reads it (package conninfo). The database is postgres unless it is
	// named.
	ConnString string

	// PassThrough is where and as whom the commands are handed on that are not of a
	// parallel backup. Empty means ConnString; if its role lacks REPLICATION then,
	// nothing is passed through.
	PassThrough string

	// PassThroughSuperuser is the name of the superuser that may be the role of
	// PassThrough. Any other superuser is refused: whoever reaches this server would
	// act as one.
	PassThroughSuperuser string

	// AuthQuery is what [Cluster.LookupPassword] asks: a query with the role as $1, and as
	// its columns the role and its password, as pgbouncer's auth_query. Empty: nothing
	// is asked.
	AuthQuery string

	// AuthPassThrough says that [Cluster.AuthenticatePeer] will be used: a connection
	// string that does not go with it is refused by [Open].
	AuthPassThrough bool

	// NewestMajor and DropCache are those of [datadir.DirOptions].
	NewestMajor int
	DropCache   bool

	// Logger is told what goes wrong between this process and the server. Nil: no
	// log. No password ever gets there.
	Logger *zap.Logger
}

// resolve reads a connection string for an SQL connection, or one for replication. The
// error is one line and has no password.
func resolve(flag, connString string, replication bool, log *zap.Logger) ([]*pgconn.Config, error) {
	info, err := conninfo.Resolve(connString, conninfo.Options{
		Replication: replication, Database: "postgres", ApplicationName: "pgparallel",
	})
	if err != nil {
		return nil, fmt.Errorf("invalid connection string for %s: %w", flag, oneLine(err))
	}
	for _, warning := range info.Warnings() {
		log.Warn(warning)
	}
	configs, err := info.Configs()
	if err != nil {
		return nil, fmt.Errorf("invalid connection string for %s: %w", flag, oneLine(err))
	}
	for _, config := range configs {
		if config.ConnectTimeout == 0 {
			config.ConnectTimeout = connectTime
		}
	}
	return configs, nil
}

// connect connects as resolve says, after prepare has made its changes to copies of the
// configurations. It also returns the copy that it connected with. An error is one line.
func connect(ctx context.Context, configs []*pgconn.Config, prepare func(*pgconn.Config)) (*pgconn.PgConn, *pgconn.Config, error) {
	copies := make([]*pgconn.Config, len(configs))
	for i, config := range configs {
		copies[i] = config.Copy()
		prepare(copies[i])
	}
	conn, used, err := conninfo.Connect(ctx, copies)
	if err != nil {
		return nil, nil, fmt.Errorf("could not connect to the running cluster: %w", oneLine(err))
	}
	return conn, used, nil
}

// oneLine is err with its text on one line.
func oneLine(err error) error {
	text := err.Error()
	line := strings.Join(strings.Fields(text), " ")
	if line == text {
		return err
	}
	return lineError{line, err}
}

type lineError struct {
	line string
	err  error
}

func (e lineError) Error() string { return e.line }

func (e lineError) Unwrap() error { return e.err }

// isCode reports whether PostgreSQL refused with the SQLSTATE.
func isCode(err error, code string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == code
}
