package livecluster

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
)

// answer is what the client is told of err: the cause of ctx if that has ended,
// PostgreSQL's own words if err has them, and of a lost connection that it was lost, with
// the details in the log.
func (c *Cluster) answer(ctx context.Context, err error) error {
	told, ours := errors.AsType[*protocol.Error](err)
	refused, postgres := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case ours:
		return told
	case postgres:
		return fromPostgres(refused, protocol.SeverityError)
	case !isConnectionError(err):
		return err
	}
	c.log.Error("no connection to the running cluster", zap.Error(err))
	if isUnavailable(err) {
		return protocol.Errorf(protocol.CodeCannotConnectNow, "the cluster's server cannot be reached").
			WithHint("The log of this server has the details.")
	}
	return protocol.Errorf(protocol.CodeConnectionFailure, "no connection to the running cluster").
		WithHint("The log of this server has the details.")
}

// isUnavailable reports whether there is no server to connect to, or none that takes
// connections now.
func isUnavailable(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, refused := errors.AsType[*pgconn.PgError](err)
	return connecting && !refused || isCode(err, protocol.CodeCannotConnectNow) || protocol.HasCode(err, protocol.CodeCannotConnectNow)
}

func isConnectionError(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}

// fromPostgres is an error or a notice of PostgreSQL's as one of ours.
func fromPostgres(e *pgconn.PgError, severity string) *protocol.Error {
	return &protocol.Error{Severity: severity, Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint}
}

// fromNotice is a notice of PostgreSQL's as one of ours.
func fromNotice(n *pgconn.Notice) *protocol.Error {
	severity := n.SeverityUnlocalized
	if severity == "" {
		severity = n.Severity
	}
	return fromPostgres((*pgconn.PgError)(n), severity)
}

// errClosed is the answer to whoever uses a backup of a cluster that was closed.
func errClosed() *protocol.Error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the cluster is not served any more")
}
