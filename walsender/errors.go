package walsender

import (
	"context"
	"errors"

	"github.com/pgparallel/pgparallel/protocol"
)

// wireError is what the peer is told of err, or nil where there is nothing to be
// told: no error, or no peer. What is not meant for the wire is XX000 with a fixed
// text: file names and the like stay here.
func wireError(err error) *protocol.Error {
	told, ok := errors.AsType[*protocol.Error](err)
	switch {
	case err == nil, errors.Is(err, errPeerGone), isLost(err),
		errors.Is(err, errUpstreamEnded), errors.Is(err, errCutShort):
		return nil
	case ok:
		return told
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errShutdown()
	default:
		return protocol.Errorf(protocol.CodeInternalError, "internal error of the server, see its log")
	}
}

// errShutdown ends the sessions of a server that is shut down (§1.9).
func errShutdown() *protocol.Error {
	return protocol.Fatalf(protocol.CodeAdminShutdown, "terminating connection due to administrator command")
}

// answerable is the error to answer a command with. A command that was ended from
// outside is answered with the reason for that, whatever it stumbled over.
func answerable(ctx context.Context, err error) error {
	if err == nil || isLost(err) {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// lostError is a failure to write to the peer: the stream is broken, nothing more
// can be said.
type lostError struct{ err error }

func (e lostError) Error() string { return "could not send data to client: " + e.err.Error() }

func (e lostError) Unwrap() error { return e.err }

func isLost(err error) bool {
	_, lost := errors.AsType[lostError](err)
	return lost
}
