package walsender

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// upstream is the session's connection to the cluster's own walsender. While a
// command runs it is the session's; between commands a goroutine watches it.
type upstream struct {
	*WALSenderConn
	in      *bufio.Reader
	watched chan struct{} // closed when the watching has ended; nil while a command runs
}

// openUpstream makes the connection, before the first command that needs it.
func (s *session) openUpstream(ctx context.Context) error {
	if s.upstream != nil {
		return nil
	}
	if s.last == nil {
		if err := s.reopen(ctx); err != nil {
			return err
		}
	}
	conn, err := s.cluster.(PassThrough).DialWALSender(ctx, s.asked)
	if err != nil {
		return err
	}
	s.upstream = &upstream{WALSenderConn: conn, in: bufio.NewReaderSize(conn, upstreamBuffer)}
	s.upstream.watch(s.end)
	return nil
}

// abandon has PostgreSQL give up the command that runs: one that waits, as for a
// checkpoint, would not notice the close for minutes.
func (u *upstream) abandon() {
	ctx, release := context.WithTimeout(context.Background(), hurryTime)
	defer release()
	_ = u.Cancel(ctx) // the close comes in any case
}

// closeUpstream says goodbye. What the session had in the cluster, as temporary
// slots, ends with it.
func (s *session) closeUpstream() {
	u := s.upstream
	if u == nil {
		return
	}
	u.unwatch()
	if u.SetWriteDeadline(time.Now().Add(hurryTime)) == nil {
		goodbye, _ := (&pgproto3.Terminate{}).Encode(nil)
		_, _ = u.Write(goodbye) // the close says it as well
	}
	u.Close()
}

// watch ends the session when the connection ends between two commands. What the
// cluster says meanwhile stays unread, but for a last word.
func (u *upstream) watch(end context.CancelCauseFunc) {
	u.watched = make(chan struct{})
	go func(watched chan<- struct{}) { // ends with the connection, or at unwatch
		defer close(watched)
		err := u.waitForEnd()
		if err != nil {
			end(err)
		}
	}(u.watched)
}

// unwatch ends the watching: the reader is the caller's again.
func (u *upstream) unwatch() {
	if u.watched == nil {
		return
	}
	_ = u.SetReadDeadline(time.Unix(1, 0)) // of a closed connection: the watch has ended
	<-u.watched
	_ = u.SetReadDeadline(time.Time{})
	u.watched = nil
}

// waitForEnd waits until the connection ends and returns what to say of it, or nil
// when the waiting was ended, or the buffer is full.
func (u *upstream) waitForEnd() error {
	for {
		_, err := u.in.Peek(u.in.Buffered() + 1)
		switch {
		case err == nil:
			continue
		case isTimeout(err), errors.Is(err, bufio.ErrBufferFull):
			return nil
		}
		return u.lastWord()
	}
}

// lastWord is the error with which PostgreSQL ended the connection, if it said one.
func (u *upstream) lastWord() error {
	unread, _ := u.in.Peek(u.in.Buffered())
	for len(unread) >= 5 {
		length := messageLength(unread)
		if length < 5 || length > len(unread) {
			break
		}
		var response pgproto3.ErrorResponse
		if unread[0] == 'E' && response.Decode(unread[5:length]) == nil {
			if e := protocol.ErrorFromResponse(&response); e.Fatal() {
				return e
			}
		}
		unread = unread[length:]
	}
	return errUpstreamLost()
}
