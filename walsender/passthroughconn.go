package walsender

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// upstream is the session's connection to PostgreSQL's own walsender. While a command runs
// the session's goroutine reads from the connection; between commands another goroutine
// watches the connection.
type upstream struct {
	*WALSenderConn
	in      *bufio.Reader
	holds   bool          // PostgreSQL keeps something for it that ends with it (see leavesState)
	watched chan struct{} // closed when the watching has ended; nil while a command runs
	lost    error         // why the connection ended between two commands; to be read after unwatch
}

// openUpstream makes the connection before the first command that needs one, and again
// where the last connection has ended while it was idle.
func (s *session) openUpstream(ctx context.Context) error {
	if s.upstream != nil && s.upstream.unwatch() == nil {
		return nil
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	s.upstream = nil
	conn, err := s.cluster.(PassThrough).DialWALSender(ctx, s.asked)
	if err != nil {
		return err
	}
	s.upstream = &upstream{WALSenderConn: conn, in: bufio.NewReaderSize(conn, upstreamBuffer)}
	return nil
}

// abandon asks PostgreSQL to cancel the command that runs. A command that waits, for
// example for a checkpoint, would not notice for minutes that the connection is closed.
func (u *upstream) abandon() {
	ctx, release := context.WithTimeout(context.Background(), hurryTime)
	defer release()
	_ = u.Cancel(ctx) // the close comes in any case
}

// closeUpstream ends the connection in order. PostgreSQL then drops what it has kept for
// the connection, as temporary slots.
func (s *session) closeUpstream() {
	u := s.upstream
	if u == nil {
		return
	}
	_ = u.unwatch() // it is closed in any case
	if u.SetWriteDeadline(time.Now().Add(hurryTime)) == nil {
		goodbye, _ := (&pgproto3.Terminate{}).Encode(nil)
		_, _ = u.Write(goodbye) // the close says it as well
	}
	u.Close()
}

// watch waits for the connection's end between two commands. Messages that arrive
// meanwhile stay unread, but for the last one before the end. PostgreSQL may end an idle
// connection at any time. The session ends with the connection only where PostgreSQL kept
// something for that connection.
func (u *upstream) watch(end context.CancelCauseFunc) {
	u.watched = make(chan struct{})
	go func(watched chan<- struct{}) { // ends with the connection, or at unwatch
		defer close(watched)
		if u.lost = u.waitForEnd(); u.lost == nil {
			return
		}
		u.Close()
		if u.holds {
			end(u.lost)
		}
	}(u.watched)
}

// unwatch stops watch. The caller may read from the connection again, unless the error
// says that the connection has ended.
func (u *upstream) unwatch() error {
	if u.watched != nil {
		_ = u.SetReadDeadline(time.Unix(1, 0)) // of a closed connection: the watch has ended
		<-u.watched
		_ = u.SetReadDeadline(time.Time{})
		u.watched = nil
	}
	if last := u.lastWord(); last != nil && u.lost == nil { // the close has not come yet
		u.lost = last
		u.Close()
	}
	return u.lost
}

// waitForEnd waits until the connection ends, and returns the error for the peer. The
// error is nil where unwatch has stopped the waiting, or the buffer is full.
func (u *upstream) waitForEnd() error {
	for {
		_, err := u.in.Peek(u.in.Buffered() + 1)
		switch {
		case err == nil:
			continue
		case isTimeout(err), errors.Is(err, bufio.ErrBufferFull):
			return nil
		}
		if last := u.lastWord(); last != nil {
			return last
		}
		return errUpstreamLost()
	}
}

// lastWord is the error with which PostgreSQL ends the connection; nil: PostgreSQL has sent
// no error.
func (u *upstream) lastWord() *protocol.Error {
	unread, _ := u.in.Peek(u.in.Buffered())
	for len(unread) >= 5 {
		length := messageLength(unread)
		if length < 5 || length > len(unread) {
			break
		}
		var response pgproto3.ErrorResponse
		if unread[0] == 'E' && response.Decode(unread[5:length]) == nil {
			if e := wire.DecodeError(&response); e.Fatal() {
				return e
			}
		}
		unread = unread[length:]
	}
	return nil
}
