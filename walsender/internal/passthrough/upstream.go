package passthrough

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// cancelTime bounds how long a CancelRequest may take.
const cancelTime = 5 * time.Second

// Client is the session whose commands are passed through.
type Client struct {
	In    *peer.Reader
	Out   io.Writer // gathers what is written
	Flush func() error
	End   context.CancelCauseFunc // ends the session; from any goroutine
}

// Upstream is a session's connection to PostgreSQL's own walsender. The session's goroutine
// calls its methods, but Cancel, which any may call. While a command runs that goroutine reads
// from the connection; between commands another goroutine watches the connection.
type Upstream struct {
	net.Conn
	cancel  func(context.Context) error
	client  Client
	in      *bufio.Reader
	holds   bool          // PostgreSQL keeps something for it that ends with it (see leavesState)
	watched chan struct{} // closed when the watching has ended; nil while a command runs
	lost    error         // why the connection ended between two commands; to be read after Resume
}

// New makes an Upstream of a connection to a walsender that waits for a command, for the
// client. cancel sends a CancelRequest for the connection.
func New(conn net.Conn, cancel func(context.Context) error, client Client) *Upstream {
	return &Upstream{Conn: conn, cancel: cancel, client: client, in: bufio.NewReaderSize(conn, upstreamBuffer)}
}

// Run sends a command and passes the answer on, message by message, up to ReadyForQuery. code
// is the SQLSTATE of the answer, if the answer is an error. err ends the session: it is the
// cause of ctx where that has ended, [ErrEnded], [ErrCutShort], an error of the client's
// connection, or a *[protocol.Error] that says that this one was lost.
func (u *Upstream) Run(ctx context.Context, text string) (code string, err error) {
	defer context.AfterFunc(ctx, func() { _ = u.SetDeadline(time.Unix(1, 0)) })()
	query, err := (&pgproto3.Query{String: text}).Encode(nil)
	if err != nil {
		return "", err
	}
	if _, err := u.Write(query); err != nil && ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	// Where the write has failed, the read below tells why.
	r := relay{client: u.client, upstream: u}
	if err := r.run(ctx); err != nil {
		if ctx.Err() != nil {
			u.abandon()
		}
		return r.code, err
	}
	u.holds = u.holds || r.code == "" && leavesState(text)
	u.watch()
	return r.code, nil
}

// Cancel asks PostgreSQL to cancel the command that runs, and returns when it has taken note
// of that, after 5 seconds at most. The request may get lost, as any CancelRequest may.
func (u *Upstream) Cancel(ctx context.Context) {
	limited, release := context.WithTimeout(ctx, cancelTime)
	defer release()
	_ = u.cancel(limited) // as lost as any CancelRequest can be
}

// abandon asks PostgreSQL to cancel the command that runs. A command that waits, for
// example for a checkpoint, would not notice for minutes that the connection is closed.
func (u *Upstream) abandon() {
	ctx, release := context.WithTimeout(context.Background(), peer.HurryTime)
	defer release()
	_ = u.cancel(ctx) // the close comes in any case
}

// Close ends the connection in order. PostgreSQL then drops what it has kept for the
// connection, as temporary slots.
func (u *Upstream) Close() {
	_ = u.Resume() // it is closed in any case
	if u.SetWriteDeadline(time.Now().Add(peer.HurryTime)) == nil {
		goodbye, _ := (&pgproto3.Terminate{}).Encode(nil)
		_, _ = u.Write(goodbye) // the close says it as well
	}
	u.Conn.Close()
}

// watch waits for the connection's end between two commands. Messages that arrive
// meanwhile stay unread, but for the last one before the end. PostgreSQL may end an idle
// connection at any time. The session ends with the connection only where PostgreSQL kept
// something for that connection.
func (u *Upstream) watch() {
	u.watched = make(chan struct{})
	go func(watched chan<- struct{}) { // ends with the connection, or at Resume
		defer close(watched)
		if u.lost = u.waitForEnd(); u.lost == nil {
			return
		}
		u.Conn.Close()
		if u.holds {
			u.client.End(u.lost)
		}
	}(u.watched)
}

// Resume ends the watching. Run may be called then, unless the error says that the connection
// has ended meanwhile.
func (u *Upstream) Resume() error {
	if u.watched != nil {
		_ = u.SetReadDeadline(time.Unix(1, 0)) // of a closed connection: the watch has ended
		<-u.watched
		_ = u.SetReadDeadline(time.Time{})
		u.watched = nil
	}
	if last := u.lastWord(); last != nil && u.lost == nil { // the close has not come yet
		u.lost = last
		u.Conn.Close()
	}
	return u.lost
}

// waitForEnd waits until the connection ends, and returns the error for the peer. The
// error is nil where Resume has stopped the waiting, or the buffer is full.
func (u *Upstream) waitForEnd() error {
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
		return errLost()
	}
}

// lastWord is the error with which PostgreSQL ends the connection; nil: PostgreSQL has sent
// no error.
func (u *Upstream) lastWord() *protocol.Error {
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
