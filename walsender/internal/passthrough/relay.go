package passthrough

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// upstreamBuffer is how much is read from the cluster's walsender at once, in bytes.
const upstreamBuffer = 64 << 10

var (
	// ErrEnded ends a session whose connection to PostgreSQL has ended. PostgreSQL has told
	// the peer why. The server adds nothing.
	ErrEnded = errors.New("the cluster's walsender has ended the session")
	// ErrCutShort ends a session in the middle of a message. An error of the server
	// would be taken for a part of that message.
	ErrCutShort = errors.New("the connection to the cluster was lost inside a message")
)

// errLost ends a session whose connection to the cluster broke.
func errLost() *protocol.Error {
	return protocol.Fatalf(protocol.CodeConnectionFailure, "the cluster's walsender closed the connection unexpectedly")
}

// relay passes the answer to one command on. The session's goroutine reads from PostgreSQL
// and writes to the peer. While the command copies towards PostgreSQL, a second goroutine
// reads from the peer and writes to PostgreSQL. Neither goroutine holds more than a piece
// of a message. So each end feels how fast the other end reads.
type relay struct {
	client   Client
	upstream *Upstream
	code     string // of the last error that was passed on
	last     byte   // the kind of the last message that was passed on
	parting  bool   // PostgreSQL has said that the connection ends

	stopBack context.CancelFunc // ends the other direction, nil when there is none
	backDone chan struct{}
}

// run passes messages on up to ReadyForQuery. An error of run ends the session.
func (r *relay) run(ctx context.Context) error {
	defer r.endBack()
	for r.last != 'Z' {
		if r.upstream.in.Buffered() < 5 {
			if err := r.client.Flush(); err != nil {
				return err
			}
		}
		header, err := r.upstream.in.Peek(5)
		if err != nil {
			return r.ended(ctx, len(header))
		}
		if err := r.message(ctx, header[0], messageLength(header)); err != nil {
			return err
		}
	}
	return r.client.Flush()
}

// message passes one message on. Some kinds of messages also start or stop the other
// direction.
func (r *relay) message(ctx context.Context, kind byte, length int) error {
	if length < 5 {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "invalid message length from the cluster's walsender")
	}
	switch kind {
	case 'E':
		r.noteError(length)
	case 'Z':
		// The other direction stops before the peer sees the end of the command. What
		// the peer sends afterwards is the next command.
		r.wantNoMore()
	}
	if err := r.forward(ctx, length); err != nil {
		return err
	}
	r.last = kind
	r.parting = r.parting || kind == 'C' && r.stopBack != nil
	if (kind == 'W' || kind == 'G') && r.stopBack == nil {
		r.startBack(ctx)
	}
	return nil
}

// forward moves the next n bytes from the cluster to the peer.
func (r *relay) forward(ctx context.Context, n int) error {
	for n > 0 {
		if _, err := r.upstream.in.Peek(1); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return errors.Join(ErrCutShort, err)
		}
		piece, _ := r.upstream.in.Peek(min(n, r.upstream.in.Buffered()))
		if _, err := r.client.Out.Write(piece); err != nil {
			return err
		}
		_, _ = r.upstream.in.Discard(len(piece)) // they are there
		n -= len(piece)
	}
	return nil
}

// ended says why no message follows. unread is the number of bytes that have arrived of
// an incomplete one.
func (r *relay) ended(ctx context.Context, unread int) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case unread == 0 && r.parting:
		return ErrEnded
	}
	return errLost()
}

// noteError looks at an ErrorResponse on its way.
func (r *relay) noteError(length int) {
	message, err := r.upstream.in.Peek(min(length, upstreamBuffer))
	var response pgproto3.ErrorResponse
	if err != nil || len(message) < length || response.Decode(message[5:]) != nil {
		return
	}
	e := wire.DecodeError(&response)
	r.code, r.parting = e.Code, e.Fatal()
}

// startBack begins to copy from the peer to the cluster.
func (r *relay) startBack(ctx context.Context) {
	wanted, stop := context.WithCancel(ctx)
	r.stopBack, r.backDone = stop, make(chan struct{})
	r.client.In.ExpectLateCopyData()
	go func() { // ends at the peer's end of copy, at endBack, or with ctx
		defer close(r.backDone)
		err := r.back(ctx, wanted)
		if err != nil && wanted.Err() == nil {
			r.client.End(err)
		}
	}()
}

// wantNoMore lets the other direction end at the next message's beginning.
func (r *relay) wantNoMore() {
	if r.stopBack != nil {
		r.stopBack()
	}
}

// endBack waits until the other direction has ended.
func (r *relay) endBack() {
	if r.stopBack != nil {
		r.stopBack()
		<-r.backDone
	}
}

// back passes the peer's messages to PostgreSQL up to the end of the copy. Where writing
// to PostgreSQL fails, back ends without an error: the goroutine that reads from
// PostgreSQL finds out why.
func (r *relay) back(ctx, wanted context.Context) error {
	for {
		kind, err := r.client.In.Pass(ctx, wanted, upstreamWriter{r.upstream})
		_, upstream := errors.AsType[upstreamError](err)
		switch {
		case upstream:
			return nil
		case err != nil:
			return err
		case kind == 'X':
			return peer.ErrGone
		case kind == 'c', kind == 'f':
			return nil
		}
	}
}

// upstreamWriter writes to PostgreSQL. Its errors are [upstreamError]s, which back tells
// from those of the peer's connection.
type upstreamWriter struct{ io.Writer }

func (w upstreamWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = upstreamError{err}
	}
	return n, err
}

// upstreamError is a failure to write to the cluster's walsender.
type upstreamError struct{ err error }

func (e upstreamError) Error() string { return "could not send data to the cluster: " + e.err.Error() }

func (e upstreamError) Unwrap() error { return e.err }

// messageLength is the length of a message, its header included, from that header.
func messageLength(header []byte) int { return int(binary.BigEndian.Uint32(header[1:])) + 1 }

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}
