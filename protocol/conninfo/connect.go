package conninfo

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// codeCannotConnectNow is the SQLSTATE of a server that starts, stops or recovers.
const codeCannotConnectNow = "57P03"

// Connect connects with the first of the configurations that it can connect with, and
// returns that one, too. As in libpq, a server that refuses ends it: those behind are
// tried only if a server cannot be reached, does not take connections yet, or is not
// what target_session_attrs asks for. The error joins those of all attempts.
func Connect(ctx context.Context, configs []*pgconn.Config) (*pgconn.PgConn, *pgconn.Config, error) {
	var failed []error
	for _, config := range configs {
		conn, err := pgconn.ConnectConfig(ctx, config)
		if err == nil {
			return conn, config, nil
		}
		failed = append(failed, err)
		refused, ok := errors.AsType[*pgconn.PgError](err)
		if ok && refused.Code != codeCannotConnectNow || ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return nil, nil, failed[0]
	}
	return nil, nil, errors.Join(failed...)
}
