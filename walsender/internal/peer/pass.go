package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/protocol"
)

// maxPassed is the longest message body inside a command that is passed through
// (§7.1). Only a piece of the message is in memory at a time.
const maxPassed = 64 << 20

// passPiece is how much of a message is moved at a time, in bytes.
const passPiece = 16 << 10

// Pass moves the next message to w as the bytes arrive, and returns the message's kind.
// wanted is ctx or a context made from ctx. The end of wanted ends the wait for a message.
// A message that has begun is moved to its end, because the other side counts on the
// length in the header; only the end of ctx prevents that. The error is the contexts'
// cause, one of [Reader.Next], or w's.
func (r *Reader) Pass(ctx, wanted context.Context, w io.Writer) (kind byte, err error) {
	kind, left, err := r.header(wanted)
	if err != nil {
		return 0, err
	}
	piece := make([]byte, min(left, passPiece))
	for left > 0 {
		n, err := r.read(ctx, piece[:min(left, len(piece))])
		if err != nil {
			return 0, err
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return 0, err
		}
		left -= n
	}
	return kind, nil
}

// header waits for the header of the next message. It returns the kind and the length,
// header included. The header stays in the buffer.
func (r *Reader) header(ctx context.Context) (kind byte, length int, err error) {
	for {
		r.mu.Lock()
		// Under the lock: what came after ctx has ended is not looked at.
		there := len(r.unread) >= 5 && ctx.Err() == nil
		if there {
			kind, length = r.unread[0], int(binary.BigEndian.Uint32(r.unread[1:]))+1
		}
		gone := r.err
		r.mu.Unlock()
		switch {
		case there && length < 5:
			return 0, 0, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid message length")
		case there && length > maxPassed+5:
			return 0, 0, protocol.Fatalf(protocol.CodeProtocolViolation,
				"message of %d bytes exceeds the maximum of %d", length-5, maxPassed)
		case there:
			return kind, length, nil
		case gone != nil:
			return 0, 0, fmt.Errorf("%w: %w", ErrGone, gone)
		}
		if err := r.await(ctx); err != nil {
			return 0, 0, err
		}
	}
}

// read takes the bytes that have arrived: at least one, at most len(p).
func (r *Reader) read(ctx context.Context, p []byte) (int, error) {
	for {
		r.mu.Lock()
		n := copy(p, r.unread)
		r.drop(n)
		gone := r.err
		r.mu.Unlock()
		if n > 0 {
			signal(r.room)
			return n, nil
		}
		if gone != nil {
			return 0, fmt.Errorf("%w: %w", ErrGone, gone)
		}
		if err := r.await(ctx); err != nil {
			return 0, err
		}
	}
}

// await waits for more bytes, or returns the cause of ctx.
func (r *Reader) await(ctx context.Context) error {
	select {
	case <-r.arrived:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ExpectLateCopyData says that CopyData may still come for a command that was passed through
// and is over by then, in messages as long as Pass takes them. Next drops these. The caller is
// that of Next.
func (r *Reader) ExpectLateCopyData() { r.draining = true }

// drainCopyData drops the messages of a COPY that is over.
func (r *Reader) drainCopyData(ctx context.Context) error {
	for r.draining {
		kind, _, err := r.header(ctx)
		if err != nil {
			return err
		}
		if r.draining = kind == 'd'; !r.draining {
			return nil
		}
		if _, err := r.Pass(ctx, ctx, io.Discard); err != nil {
			return err
		}
	}
	return nil
}
