package walsender

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/passthrough"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// wireError is what the peer is told of err, or nil where there is nothing to be
// told: no error, or no peer. What is not meant for the wire is XX000 with a fixed
// text: file names and the like stay here. So is an error of a context: it does not tell
// whose has ended, the server's or one of a Cluster, an Authenticator or an owner. Where
// the session's has ended its cause is the error ([answerable]).
func wireError(err error) *protocol.Error {
	told, ok := errors.AsType[*protocol.Error](err)
	switch {
	case err == nil, errors.Is(err, peer.ErrGone), isLost(err),
		errors.Is(err, passthrough.ErrEnded), errors.Is(err, passthrough.ErrCutShort):
		return nil
	case ok:
		return told
	default:
		return protocol.Errorf(protocol.CodeInternalError, "internal error of the server, see its log")
	}
}

// errShutdown ends the sessions of a server that is shut down (§1.9).
func errShutdown() *protocol.Error {
	return protocol.Fatalf(protocol.CodeAdminShutdown, "terminating connection due to administrator command")
}

// endedBy is the cause that ends a session's context, of what ended the context around
// it. Unless that has words for the peer, the server is going (§1.9).
func endedBy(cause error) error {
	if _, told := errors.AsType[*protocol.Error](cause); told {
		return cause
	}
	return fmt.Errorf("%w (%w)", errShutdown(), cause)
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

// fileError is the answer to an error of a [Cluster] about a file: one that is not there
// (fs.ErrNotExist) and one that may not be read (fs.ErrPermission) have PostgreSQL's words
// and the SQLSTATEs of §4.6. Every other error is what it was.
func fileError(name string, err error) error {
	if _, told := errors.AsType[*protocol.Error](err); told {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return protocol.Errorf(protocol.CodeUndefinedFile, "could not open file \"%s\": No such file or directory", protocol.Shorten(name, 1024))
	case errors.Is(err, fs.ErrPermission):
		return protocol.Errorf(protocol.CodeIOError, "could not open file \"%s\": Permission denied", protocol.Shorten(name, 1024))
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
