package walsender

import (
	"context"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// interruptible is the context of the command that runs from now until end is called:
// interrupt cancels it, and the write that is under way then ends soon.
func (s *session) interruptible(session context.Context, command grammar.Command) (ctx context.Context, end func()) {
	if isOneOfMany(command) {
		return s.underWay.command(session, s)
	}
	ctx, cancel := context.WithCancelCause(session)
	s.setRunning(cancel)
	unhurry := s.hurryAfter(ctx)
	return ctx, func() {
		unhurry()
		s.setRunning(nil)
		cancel(nil)
	}
}

// isOneOfMany reports whether a backup has as many such commands as it has files.
func isOneOfMany(command grammar.Command) bool {
	switch command.(type) {
	case grammar.SendFile, grammar.FileDigests:
		return true
	}
	return false
}

// setRunning sets what cancels the command that runs.
func (s *session) setRunning(cancel context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = cancel
}

// interrupt cancels the command that runs, if one does. It is called from other
// goroutines.
func (s *session) interrupt(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		s.running(why)
	}
}

// hurryAfter bounds the write under way once ctx ends, so that a command which is
// ended from outside ends soon. One that its own client cancels goes on as fast as
// the client reads. The function returned takes it back.
func (s *session) hurryAfter(ctx context.Context) (unhurry func()) {
	hurried := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(hurried)
		if protocol.HasCode(context.Cause(ctx), protocol.CodeQueryCanceled) {
			return
		}
		s.stall.Hurry()
	})
	return func() {
		if !stop() {
			<-hurried
		}
		s.stall.Unhurry()
	}
}

// standingContext is a context that the commands of a session use one after the other, until
// it ends: a file of a few kilobytes is sent in less time than it takes to make contexts,
// and the goroutines that wait for their ends, for it alone. While a command is at work under
// it, its end hurries the write under way, as that of [session.hurryAfter] does. The session's
// goroutine uses it, but for cancel, which any may call.
type standingContext struct {
	context.Context
	cancel context.CancelCauseFunc

	stall   *peer.Conn
	atWork  atomic.Bool
	stop    func() bool // keeps the end from hurrying any more
	hurried chan struct{}
}

func newStandingContext(parent context.Context, stall *peer.Conn) *standingContext {
	c := &standingContext{stall: stall, hurried: make(chan struct{})}
	c.Context, c.cancel = context.WithCancelCause(parent)
	c.stop = context.AfterFunc(c.Context, func() {
		defer close(c.hurried)
		if c.atWork.Load() && !protocol.HasCode(context.Cause(c), protocol.CodeQueryCanceled) {
			stall.Hurry()
		}
	})
	return c
}

// usable reports whether the next command may use the context. A nil one is not.
func (c *standingContext) usable() bool { return c != nil && c.Err() == nil }

// begin is called when a command begins to use the context, and finish when it is done.
func (c *standingContext) begin() { c.atWork.Store(true) }

func (c *standingContext) finish() {
	c.atWork.Store(false)
	// Whoever found a command at work has ended the context before.
	if c.Err() != nil {
		c.dismiss()
	}
}

// dismiss ends the context between two commands, and nothing hurries because of it any
// more. A nil one is dismissed already.
func (c *standingContext) dismiss() {
	if c == nil {
		return
	}
	if !c.stop() {
		<-c.hurried
		c.stall.Unhurry()
	}
	c.cancel(nil)
}

// filesUnderWay are the contexts under which a session sends its files, kept from one
// SEND_FILE to the next. The session's goroutine uses it.
type filesUnderWay struct {
	sending *standingContext // of SEND_FILE: ends when it is cancelled, or the session is
	running *standingContext // within: ends with the backup of the file as well
	backup  *sharedstate.Backup
}

// command is [session.interruptible] for SEND_FILE.
func (f *filesUnderWay) command(ctx context.Context, s *session) (command context.Context, end func()) {
	if !f.sending.usable() {
		f.running.dismiss()
		f.sending.dismiss()
		f.running, f.sending = nil, newStandingContext(ctx, s.stall)
	}
	c := f.sending
	s.setRunning(c.cancel)
	c.begin()
	return c, func() {
		s.setRunning(nil)
		c.finish()
	}
}

// ofBackup is the context of a file of the backup, until end is called. It lies within the
// one of the command.
func (f *filesUnderWay) ofBackup(command context.Context, stall *peer.Conn, b *sharedstate.Backup) (running context.Context, end func()) {
	if !f.running.usable() || f.backup != b {
		f.running.dismiss()
		c := newStandingContext(command, stall)
		f.running, f.backup = c, b
		go func() { // ends with the backup, or with the session
			select {
			case <-b.Done():
				c.cancel(b.Err())
			case <-c.Done():
			}
		}()
	}
	f.running.begin()
	return f.running, f.running.finish
}
