package conninfo

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// sessionCheck looks whether a session is what target_session_attrs asks for, by the
// parameters that the server reports; where it is older than 14, and does not, by
// asking it, which takes a session that runs SQL. Nil: any session will do.
func sessionCheck(attrs string) pgconn.ValidateConnectFunc {
	ask := map[string]pgconn.ValidateConnectFunc{
		"read-write":     pgconn.ValidateConnectTargetSessionAttrsReadWrite,
		"read-only":      pgconn.ValidateConnectTargetSessionAttrsReadOnly,
		"primary":        pgconn.ValidateConnectTargetSessionAttrsPrimary,
		"standby":        pgconn.ValidateConnectTargetSessionAttrsStandby,
		"prefer-standby": pgconn.ValidateConnectTargetSessionAttrsStandby,
	}[attrs]
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		standby, readOnly := conn.ParameterStatus("in_hot_standby"), conn.ParameterStatus("default_transaction_read_only")
		if standby == "" || readOnly == "" {
			return ask(ctx, conn)
		}
		return checkSession(attrs, standby == "on", standby == "on" || readOnly == "on")
	}
}

func checkSession(attrs string, standby, readOnly bool) error {
	switch {
	case attrs == "read-write" && readOnly:
		return errors.New("session is read-only")
	case attrs == "read-only" && !readOnly:
		return errors.New("session is not read-only")
	case attrs == "primary" && standby:
		return errors.New("server is in hot standby mode")
	case (attrs == "standby" || attrs == "prefer-standby") && !standby:
		return errors.New("server is not in hot standby mode")
	}
	return nil
}
