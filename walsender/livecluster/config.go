package livecluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// connectTime bounds a connection attempt unless connect_timeout says otherwise.
const connectTime = 10 * time.Second

// Config says how to reach the cluster's server. Only ConnString is required.
type Config struct {
	// ConnString is where the server is and which role takes the backups, in
	// keywords and values or as a URI; what it leaves out comes from libpq's
	// environment variables. The database is postgres unless it is named.
	ConnString string

	// PassThrough is where and as whom the commands are handed on that are not of a
	// parallel backup. Empty means ConnString; if its role lacks REPLICATION then,
	// nothing is passed through.
	PassThrough string

	// PassThroughSuperuser is the name of the superuser that may be the role of
	// PassThrough. Any other superuser is refused: whoever reaches this server would
	// act as one.
	PassThroughSuperuser string

	// Logger is told what goes wrong between this process and the server. Nil: no
	// log. No password ever gets there.
	Logger *zap.Logger
}

// parse reads a connection string. The error is one line and has no password.
func parse(flag, connString string) (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("invalid connection string for %s: %w", flag, oneLine(err))
	}
	if config.Database == "" {
		config.Database = "postgres"
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "pgparallel"
	}
	delete(config.RuntimeParams, "replication")
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	config.DialFunc = dial(config.ConnectTimeout)
	return config, nil
}

// dial connects with the keepalives of §7.2.
func dial(timeout time.Duration) pgconn.DialFunc {
	d := &net.Dialer{
		Timeout: timeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
		},
	}
	return d.DialContext
}

// connect is pgconn's, with an error that is one line.
func connect(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("could not connect to the running cluster: %w", oneLine(err))
	}
	return conn, nil
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

// Error implements error.
func (e lineError) Error() string { return e.line }

// Unwrap gives errors.Is and errors.As the cause.
func (e lineError) Unwrap() error { return e.err }

// isCode reports whether PostgreSQL refused with the SQLSTATE.
func isCode(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}
