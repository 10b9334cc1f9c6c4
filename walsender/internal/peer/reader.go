package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// aheadSize bounds what the server reads of a session before it is asked for
// (§1.7).
const aheadSize = 64 << 10

// maxMessage is the longest message body after authentication (§7.1): a command
// and its terminating NUL.
const maxMessage = grammar.MaxCommandLength + 1

// hangupInterval is how often a peer whose bytes fill the buffer is looked at:
// often enough for §3.5's second.
const hangupInterval = 250 * time.Millisecond

// ErrGone is wrapped in the error of a Reader whose connection was lost or closed without a
// word.
var ErrGone = errors.New("unexpected EOF on client connection")

// Reader reads a connection in a goroutine of its own, up to aheadSize
// bytes ahead of the session that takes messages out of it. It notices the end of
// the connection at once, also while bytes are still unread (§3.5).
type Reader struct {
	conn  io.Reader
	raw   net.Conn // below TLS, where a hang-up shows
	ended func(error)

	mu     sync.Mutex
	unread []byte
	err    error

	// draining: see ExpectLateCopyData. It belongs to the caller of Next.
	draining bool

	arrived chan struct{} // holds a token after bytes or the end have come
	room    chan struct{} // holds a token after bytes were taken
}

// NewReader makes a Reader of conn, whose buffer begins with the bytes already read, and
// which owns them. raw is the connection below TLS. ended is called from the goroutine that
// runs Fill: with io.EOF when the peer sends nothing more, and with another error when it is
// gone. One may follow the other.
func NewReader(conn io.Reader, raw net.Conn, already []byte, ended func(error)) *Reader {
	r := &Reader{
		conn:    conn,
		raw:     raw,
		ended:   ended,
		arrived: make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
	}
	r.unread = already
	return r
}

// Fill reads until the peer sends nothing more, then waits until it is gone. ctx ends
// both; closing the connection ends a read that waits. The caller gives it a goroutine.
func (r *Reader) Fill(ctx context.Context) {
	chunk := make([]byte, 8<<10)
	for {
		n := r.waitForRoom(ctx, len(chunk))
		if n == 0 {
			return
		}
		n, err := r.conn.Read(chunk[:n])
		r.mu.Lock()
		r.unread = append(r.unread, chunk[:n]...)
		r.err = err
		r.mu.Unlock()
		signal(r.arrived)
		if err != nil {
			r.ended(err)
			r.waitForHangup(ctx)
			return
		}
	}
}

// waitForHangup waits until the peer is gone altogether. One that has only closed its
// sending side still reads.
func (r *Reader) waitForHangup(ctx context.Context) {
	ticker := time.NewTicker(hangupInterval)
	defer ticker.Stop()
	for {
		if _, gone := hungUp(r.raw); gone {
			r.ended(net.ErrClosed)
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// waitForRoom returns how many bytes may be read, at most limit. While there is no
// room it watches for the peer's end, which reading cannot show then. It returns 0
// when there is nothing more to read for.
func (r *Reader) waitForRoom(ctx context.Context, limit int) int {
	for {
		r.mu.Lock()
		free := aheadSize - len(r.unread)
		r.mu.Unlock()
		if free > 0 {
			return min(free, limit)
		}
		timer := time.NewTimer(hangupInterval)
		select {
		case <-r.room:
		case <-timer.C:
			// What it sent before it closed its sending side is still to be read.
			silent, gone := hungUp(r.raw)
			if silent {
				r.ended(io.EOF)
			}
			if gone {
				r.ended(net.ErrClosed)
				return 0
			}
		case <-ctx.Done():
			timer.Stop()
			return 0
		}
		timer.Stop()
	}
}

// Next takes the next message: its kind and its body, which is the caller's. It
// waits for it until ctx ends, and then returns ctx's cause. A message that is too
// long, or has an impossible length, is a FATAL 08P01: the stream cannot be read
// any further.
func (r *Reader) Next(ctx context.Context) (kind byte, body []byte, err error) {
	return r.NextUnless(ctx, nil)
}

// ErrWoken is the error of [Reader.NextUnless] when it was woken.
var ErrWoken = errors.New("something else is to be done than to wait for a message")

// NextUnless is Next, but for ErrWoken when no message is there and woken is closed.
func (r *Reader) NextUnless(ctx context.Context, woken <-chan struct{}) (kind byte, body []byte, err error) {
	if err := r.drainCopyData(ctx); err != nil {
		return 0, nil, err
	}
	for {
		if ctx.Err() != nil {
			if r.terminated() {
				return 'X', nil, nil
			}
			return 0, nil, context.Cause(ctx)
		}
		kind, body, ok, err := r.take()
		if ok || err != nil {
			return kind, body, err
		}
		select {
		case <-r.arrived:
		case <-ctx.Done():
		case <-woken:
			return 0, nil, ErrWoken
		}
	}
}

// terminated reports whether Terminate is the next message: the end of the
// connection, which is noticed as soon as it comes, was announced.
func (r *Reader) terminated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unread) > 0 && r.unread[0] == 'X'
}

// take takes a message if a whole one is there.
func (r *Reader) take() (kind byte, body []byte, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	length, whole, err := r.peek()
	if err != nil || !whole {
		if err == nil && r.err != nil {
			err = fmt.Errorf("%w: %w", ErrGone, r.err)
		}
		return 0, nil, false, err
	}
	kind = r.unread[0]
	body = append([]byte(nil), r.unread[5:length]...)
	r.drop(length)
	signal(r.room)
	return kind, body, true, nil
}

// drop forgets the first n bytes, and the buffer once nothing is left in it: a session that
// waits takes little memory. What is left stays where it is, until the buffer is full: a
// thousand short queries may wait, and each would have the others moved. The lock is held.
func (r *Reader) drop(n int) {
	r.unread = r.unread[n:]
	if len(r.unread) == 0 {
		r.unread = nil
	}
}

// peek reports the length of the first message, its header included, and whether
// all of it is there. The lock is held.
func (r *Reader) peek() (length int, whole bool, err error) {
	if len(r.unread) < 5 {
		return 0, false, nil
	}
	n := binary.BigEndian.Uint32(r.unread[1:])
	if n < 4 {
		return 0, false, protocol.Fatalf(protocol.CodeProtocolViolation, "invalid message length")
	}
	if n > maxMessage+4 {
		return 0, false, protocol.Fatalf(protocol.CodeProtocolViolation,
			"message of %d bytes exceeds the maximum of %d", n-4, maxMessage)
	}
	length = int(n) + 1
	return length, len(r.unread) >= length, nil
}

// Pending reports whether a whole message waits: the answers to pipelined commands
// then go out together.
func (r *Reader) Pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, whole, err := r.peek()
	return whole && err == nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
