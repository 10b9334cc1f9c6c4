package livecluster

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
)

// connectHint says what mends a connection that was not made. It follows from the
// SQLSTATE; where PostgreSQL was not reached, from that. database is replication for a
// connection to the walsender.
func connectHint(err error, config *pgconn.Config, database string) string {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
			return "the connection string must lead to the server that runs on this data directory"
		}
		return ""
	}
	role := quoteIdentifier(config.User)
	switch refused.Code {
	case protocol.CodeInvalidAuthorization:
		if strings.Contains(refused.Message, "pg_hba.conf") { // the name is in every translation
			return "add a line to pg_hba.conf, and reload: " + hbaLine(config, database)
		}
	case protocol.CodeInvalidPassword:
		return fmt.Sprintf("give the password of role %s, in a password file for example", role)
	case protocol.CodeInsufficientPrivilege:
		if database == "replication" {
			return replicationHint(config.User)
		}
	case protocol.CodeTooManyConnections:
		if database == "replication" {
			return "all of max_wal_senders are in use: end some, or raise it and restart PostgreSQL"
		}
		return "end sessions of PostgreSQL, or raise max_connections and restart it"
	case protocol.CodeCannotConnectNow:
		return "wait until the server takes connections"
	}
	return ""
}

func replicationHint(role string) string {
	return "as a superuser: ALTER ROLE " + quoteIdentifier(role) + " REPLICATION;"
}

// hbaLine is the line of pg_hba.conf that the connection lacks.
func hbaLine(config *pgconn.Config, database string) string {
	if strings.HasPrefix(config.Host, "/") || strings.HasPrefix(config.Host, "@") {
		return fmt.Sprintf("local %s %s METHOD", database, quoteIdentifier(config.User))
	}
	return fmt.Sprintf("host %s %s ADDRESS METHOD", database, quoteIdentifier(config.User))
}

func quoteIdentifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// hinted is err with what mends it behind it.
func hinted(err error, hint string) error {
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}
