package walsender

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
	"github.com/pgparallel/pgparallel/walsender/internal/slots"
	"github.com/pgparallel/pgparallel/walsender/internal/walreader"
)

const (
	// walCheckInterval is how often a cluster is looked at whose WAL has been sent to its
	// end: a server may have been started on it.
	walCheckInterval = 10 * time.Second

	// walPage is a page of WAL as PostgreSQL is mostly built: a message ends with one.
	walPage = 8192

	copyDataHeader = 5 // type and length of a message
)

// walStream is a START_REPLICATION that copies (WalSndLoop in walsender.c). The session's
// goroutine runs it: it takes what the peer says between two messages, and waits only when
// there is nothing to send.
type walStream struct {
	session *session
	major   int // of PostgreSQL
	slot    *slots.Slot
	reader  *walreader.Reader
	last    walreader.End

	timeline protocol.Timeline // that is sent
	sent     protocol.LSN      // up to where
	end      protocol.LSN      // up to where there is something to send
	historic bool              // the timeline was left at end, for next
	next     protocol.Timeline

	message []byte // room for one, nil while there is nothing to send

	heard     time.Time // when the peer last said something
	pinged    bool      // since then it was asked to say something
	caughtUp  bool      // it was told that the end is reached
	checkedAt time.Time // when the cluster was last looked at

	doneSending, doneReceiving bool // CopyDone was sent, has come
}

// errAwaken ends a wait for the peer's next message.
var errAwaken = errors.New("it is time to look again")

// run copies until both ends have said CopyDone.
func (w *walStream) run(ctx context.Context) error {
	w.heard, w.checkedAt = time.Now(), time.Now()
	for !w.doneSending || !w.doneReceiving {
		if err := w.hear(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.checkTimeout(); err != nil {
			return err
		}
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hear takes what the peer has said already.
func (w *walStream) hear(ctx context.Context) error {
	for w.session.in.Pending() && !w.doneReceiving {
		if err := w.hearNext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hearNext waits for a message and takes it.
func (w *walStream) hearNext(ctx context.Context) error {
	kind, body, err := w.session.in.Next(ctx)
	if err != nil {
		return err
	}
	w.heard, w.pinged = time.Now(), false
	switch kind {
	case 'd':
		return w.status(body)
	case 'c':
		w.doneReceiving = true
		return w.endSending()
	case 'X':
		return peer.ErrGone
	}
	return protocol.Fatalf(protocol.CodeProtocolViolation, "invalid standby message type %q", string(rune(kind)))
}

// status takes a report of the peer. It moves the slot, if there is one.
func (w *walStream) status(body []byte) error {
	status, err := wire.DecodeStandbyMessage(body)
	if err != nil || status == nil {
		return err
	}
	if w.slot != nil {
		w.slot.Confirm(status.Flushed)
	}
	if status.Reply {
		return w.keepalive(false)
	}
	return nil
}

// endSending says CopyDone, once.
func (w *walStream) endSending() error {
	if w.doneSending {
		return nil
	}
	w.doneSending, w.message = true, nil
	return w.session.out.send(&pgproto3.CopyDone{})
}

// step sends the next piece of WAL, or does what is due at the end of it.
func (w *walStream) step(ctx context.Context) error {
	switch {
	case w.doneSending && w.doneReceiving:
		return nil
	case !w.doneSending && w.sent < w.end:
		return w.sendPiece(ctx)
	case !w.doneSending && w.historic:
		return w.endSending()
	case !w.doneSending && !w.caughtUp:
		w.caughtUp, w.message = true, nil
		w.reader.Close()
		return w.keepalive(false)
	}
	return w.wait(ctx)
}

// sendPiece sends as much WAL as goes into one message. Where there is more, it ends with a
// page.
func (w *walStream) sendPiece(ctx context.Context) error {
	to := w.sent + wire.MaxWAL
	if to < w.end {
		to -= to % walPage
	} else {
		to = w.end
	}
	if w.message == nil {
		w.message = make([]byte, copyDataHeader+wire.WALHeader+wire.MaxWAL)
	}
	message := w.message[:copyDataHeader+wire.WALHeader+int(to-w.sent)]
	if err := w.reader.Read(ctx, message[copyDataHeader+wire.WALHeader:], w.sent, w.timelines()...); err != nil {
		return err
	}
	message[0] = 'd'
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1))
	wire.AppendWALHeader(message[:copyDataHeader], w.sent, w.end, time.Now())
	if _, err := w.session.out.Write(message); err != nil {
		return err
	}
	w.sent, w.caughtUp = to, false
	return nil
}

// timelines are those on which the segment of the next byte may be. The segment in which a
// timeline was left is there as the first of the next one, and perhaps only so.
func (w *walStream) timelines() []protocol.Timeline {
	size := protocol.LSN(w.reader.SegmentSize())
	if w.historic && w.sent/size == w.end/size {
		return []protocol.Timeline{w.next, w.timeline}
	}
	return []protocol.Timeline{w.timeline}
}

// keepalive says how far the WAL was sent.
func (w *walStream) keepalive(reply bool) error {
	return w.session.out.send(&pgproto3.CopyData{Data: wire.AppendKeepalive(nil, w.sent, time.Now(), reply)})
}

// checkTimeout asks a peer to say something that has not for half of wal_sender_timeout,
// and gives it up when it has not for all of that.
func (w *walStream) checkTimeout() error {
	timeout := w.timeout()
	if timeout < 0 {
		return nil
	}
	silent := time.Since(w.heard)
	switch {
	case silent >= timeout:
		return errSenderTimeout
	case silent >= timeout/2 && !w.pinged:
		w.pinged = true
		if err := w.keepalive(true); err != nil {
			return err
		}
		return w.session.out.flush()
	}
	return nil
}

// timeout is wal_sender_timeout; less than 0 is none.
func (w *walStream) timeout() time.Duration {
	return cmp.Or(w.session.server.SenderTimeout, DefaultSenderTimeout)
}

// wait waits for the peer to say something, until it is to be asked or given up, or the
// cluster is to be looked at.
func (w *walStream) wait(ctx context.Context) error {
	if err := w.session.out.flush(); err != nil {
		return err
	}
	w.session.out.rest()
	until := w.checkedAt.Add(walCheckInterval)
	if timeout := w.timeout(); timeout >= 0 {
		due := w.heard.Add(timeout / 2)
		if w.pinged {
			due = w.heard.Add(timeout)
		}
		if due.Before(until) {
			until = due
		}
	}
	limited, cancel := context.WithDeadlineCause(ctx, until, errAwaken)
	defer cancel()
	err := w.hearNext(limited)
	if !errors.Is(err, errAwaken) {
		return err
	}
	if w.doneSending || time.Since(w.checkedAt) < walCheckInterval {
		return nil
	}
	w.checkedAt = time.Now()
	return w.aim(ctx)
}
