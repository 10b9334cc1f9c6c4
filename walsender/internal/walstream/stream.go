// Package walstream sends the WAL of a cluster that does not run, as START_REPLICATION does
// (§9.2).
package walstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// Client is the session that asks for WAL.
type Client struct {
	In    *peer.Reader
	Send  func(pgproto3.BackendMessage) error
	Out   io.Writer // takes messages that are encoded already, after what was sent
	Flush func() error
	Rest  func() // is called when nothing may be sent for long

	// Timeout is wal_sender_timeout; less than 0 is none.
	Timeout time.Duration

	// Check is asked before the end of the WAL is looked for. Its error ends the stream: a
	// server may have been started on the cluster.
	Check func(context.Context) error
}

// Stream is a START_REPLICATION that copies (WalSndLoop in walsender.c). The session's
// goroutine runs it: it takes what the peer says between two messages, and waits only when
// there is nothing to send.
type Stream struct {
	Timeline protocol.Timeline // that is sent; 0 before Aim: the newest
	Sent     protocol.LSN      // up to where; before Copy: from where on
	End      protocol.LSN      // up to where there is something to send
	Historic bool              // the timeline was left at End, for Next
	Next     protocol.Timeline

	client Client
	major  int         // of PostgreSQL
	slot   *slots.Slot // nil for none
	reader *walreader.Reader
	last   walreader.End

	message []byte // room for one, nil while there is nothing to send

	heard     time.Time // when the peer last said something
	pinged    bool      // since then it was asked to say something
	caughtUp  bool      // it was told that the end is reached
	checkedAt time.Time // when the cluster was last looked at

	doneSending, doneReceiving bool // CopyDone was sent, has come
}

// New makes the stream of a timeline from a position on, for a server of this major version. The
// slot is moved by the peer's reports; nil: there is none. The reader stays the caller's.
func New(c Client, major int, timeline protocol.Timeline, from protocol.LSN, slot *slots.Slot, reader *walreader.Reader) *Stream {
	return &Stream{client: c, major: major, Timeline: timeline, Sent: from, slot: slot, reader: reader}
}

// errAwaken ends a wait for the peer's next message.
var errAwaken = errors.New("it is time to look again")

// Aim finds out how far there is something to send: to where the cluster's WAL ends, or
// where the timeline that was asked for was left.
func (w *Stream) Aim(ctx context.Context) error {
	if err := w.client.Check(ctx); err != nil {
		return err
	}
	last, err := w.reader.End(ctx, w.last)
	if err != nil {
		return err
	}
	w.last = last
	if w.Timeline == 0 {
		w.Timeline = last.History.Timeline
	}
	w.End, w.Next, w.Historic = last.LSN, w.Timeline, false
	if w.Timeline == last.History.Timeline {
		return nil
	}
	if w.End, w.Next, w.Historic = last.History.Left(w.Timeline); !w.Historic {
		return protocol.Errorf(protocol.CodeInternalError, "requested timeline %d is not in this server's history", w.Timeline)
	}
	if w.End < w.Sent {
		err := protocol.Errorf(protocol.CodeInternalError, "requested starting point %s on timeline %d is not in this server's history",
			w.Sent.Text(w.major), w.Timeline)
		err.Detail = fmt.Sprintf("This server's history forked from timeline %d at %s.", w.Timeline, w.End.Text(w.major))
		return err
	}
	return nil
}

// Copy sends the WAL in a COPY of both directions. Where an older timeline ends before the
// first byte there is none.
func (w *Stream) Copy(ctx context.Context) error {
	if w.Historic && w.Sent >= w.End {
		return nil
	}
	if err := w.client.Send(&pgproto3.CopyBothResponse{}); err != nil {
		return err
	}
	if w.End < w.Sent {
		return protocol.Errorf(protocol.CodeInternalError, "requested starting point %s is ahead of the WAL flush position of this server %s",
			w.Sent.Text(w.major), w.End.Text(w.major))
	}
	return w.run(ctx)
}

// run copies until both ends have said CopyDone.
func (w *Stream) run(ctx context.Context) error {
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
func (w *Stream) hear(ctx context.Context) error {
	for w.client.In.Pending() && !w.doneReceiving {
		if err := w.hearNext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hearNext waits for a message and takes it.
func (w *Stream) hearNext(ctx context.Context) error {
	kind, body, err := w.client.In.Next(ctx)
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
func (w *Stream) status(body []byte) error {
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
func (w *Stream) endSending() error {
	if w.doneSending {
		return nil
	}
	w.doneSending, w.message = true, nil
	return w.client.Send(&pgproto3.CopyDone{})
}

// step sends the next piece of WAL, or does what is due at the end of it.
func (w *Stream) step(ctx context.Context) error {
	switch {
	case w.doneSending && w.doneReceiving:
		return nil
	case !w.doneSending && w.Sent < w.End:
		return w.sendPiece(ctx)
	case !w.doneSending && w.Historic:
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
func (w *Stream) sendPiece(ctx context.Context) error {
	to := w.Sent + wire.MaxWAL
	if to < w.End {
		to -= to % walPage
	} else {
		to = w.End
	}
	if w.message == nil {
		w.message = make([]byte, copyDataHeader+wire.WALHeader+wire.MaxWAL)
	}
	message := w.message[:copyDataHeader+wire.WALHeader+int(to-w.Sent)]
	if err := w.reader.Read(ctx, message[copyDataHeader+wire.WALHeader:], w.Sent, w.timelines()...); err != nil {
		return err
	}
	message[0] = 'd'
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-1))
	wire.AppendWALHeader(message[:copyDataHeader], w.Sent, w.End, time.Now())
	if _, err := w.client.Out.Write(message); err != nil {
		return err
	}
	w.Sent, w.caughtUp = to, false
	return nil
}

// timelines are those on which the segment of the next byte may be. The segment in which a
// timeline was left is there as the first of the next one, and perhaps only so.
func (w *Stream) timelines() []protocol.Timeline {
	size := protocol.LSN(w.reader.SegmentSize())
	if w.Historic && w.Sent/size == w.End/size {
		return []protocol.Timeline{w.Next, w.Timeline}
	}
	return []protocol.Timeline{w.Timeline}
}

// keepalive says how far the WAL was sent.
func (w *Stream) keepalive(reply bool) error {
	return w.client.Send(&pgproto3.CopyData{Data: wire.AppendKeepalive(nil, w.Sent, time.Now(), reply)})
}

// checkTimeout asks a peer to say something that has not for half of wal_sender_timeout,
// and gives it up when it has not for all of that.
func (w *Stream) checkTimeout() error {
	timeout := w.client.Timeout
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
		return w.client.Flush()
	}
	return nil
}

// wait waits for the peer to say something, until it is to be asked or given up, or the
// cluster is to be looked at.
func (w *Stream) wait(ctx context.Context) error {
	if err := w.client.Flush(); err != nil {
		return err
	}
	w.client.Rest()
	until := w.checkedAt.Add(walCheckInterval)
	if timeout := w.client.Timeout; timeout >= 0 {
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
	return w.Aim(ctx)
}

// errSenderTimeout ends a session whose peer has not answered for wal_sender_timeout. As
// from PostgreSQL, the peer is told nothing.
var errSenderTimeout = errors.Join(peer.ErrGone, errors.New("terminating walsender process due to replication timeout"))
