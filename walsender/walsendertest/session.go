package walsendertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol/wire/scmrights"
)

// linger is how long a connection that the server has ended waits for the client to
// close it too: closing a socket with bytes unread would take the last message away.
const linger = 500 * time.Millisecond

// What a tap ends a session with.
var (
	errCut   = errors.New("connection cut")
	errReset = errors.New("connection reset")
)

// session is one session: the client's connection at one end, a walsender.Server's at the
// other, and what passes between them, message by message.
type session struct {
	server *Server
	name   string    // A, B, …
	number int       // from 1
	peer   net.Conn  // the client, above TLS
	raw    net.Conn  // the client, below TLS
	inner  innerConn // the server

	out    *bufio.Writer // to the client; used by down alone
	chain  sender
	upDone chan struct{} // closed when the client says nothing more
	served chan struct{} // closed when the server's session has ended

	mu      sync.Mutex
	pending []*answer // the one under way first
	since   time.Time // when the session became idle
}

// run runs the session, which begins with a startup packet, to its end.
func (s *session) run(startup []byte) {
	inner, server := innerPipe(s.raw)
	s.inner = inner
	s.out = bufio.NewWriterSize(s.peer, 64<<10)
	s.chain = s.forward
	for i := len(s.server.faults) - 1; i >= 0; i-- {
		if f := s.server.faults[i]; f.tap != nil {
			tap, next := f.tap(s, f), s.chain
			s.chain = func(m message) error { return tap(m, next) }
		}
	}
	s.pending = []*answer{{began: time.Now()}}
	go func() { // ends with the server's session
		defer close(s.served)
		_ = s.server.Config.ServeConn(context.Background(), server) // how it ended is in the record
		// A client that does not read holds up the session no longer.
		_ = s.peer.SetWriteDeadline(time.Now().Add(linger)) // closed already
	}()
	_, _ = inner.Write(startup) // an error shows at the next read
	go s.up()                   // ends when the client's connection does
	s.finish(s.down())
}

// down passes on what the server says, until it ends or a fault ends the session.
func (s *session) down() error {
	in := bufio.NewReaderSize(s.inner, 64<<10)
	var buf []byte
	for {
		if in.Buffered() == 0 {
			if err := s.out.Flush(); err != nil {
				return err
			}
		}
		kind, body, err := readMessage(in, &buf)
		if err != nil {
			return s.out.Flush()
		}
		if err := s.pass(kind, body); err != nil {
			return errors.Join(err, s.out.Flush())
		}
	}
}

// pass sends a message through the faults.
func (s *session) pass(kind byte, body []byte) error {
	a := s.answering()
	files := s.handed(kind)
	defer scmrights.Close(files)
	if !a.skipping || kind == 'Z' {
		if err := s.chain(message{kind: kind, body: body, answer: a, offset: a.sent, files: files}); err != nil {
			return err
		}
	}
	a.messages++
	switch kind {
	case 'W':
		a.copying = true
	case 'd':
		a.sent += int64(len(body))
	case 'Z':
		s.answered()
	case 'C':
		if a.verb == "START_BACKUP" {
			s.server.lead(s)
		}
	}
	if a.skipping && a.copying {
		return s.endCopy(a)
	}
	return nil
}

// endCopy ends the copy of WAL at the server, for a client that was told that it has ended.
func (s *session) endCopy(a *answer) error {
	a.copying = false
	_, err := s.inner.Write(header('c', 0))
	return err
}

// forward is the end of the chain: the client.
func (s *session) forward(m message) error {
	s.server.record.said(s, m)
	if len(m.files) > 0 {
		return s.hand(m)
	}
	if _, err := s.out.Write(header(m.kind, len(m.body))); err != nil {
		return err
	}
	_, err := s.out.Write(m.body)
	return err
}

// tear sends the first n bytes of a message, its header included, and no more.
func (s *session) tear(m message, n int) error {
	whole := append(header(m.kind, len(m.body)), m.body...)
	s.server.record.note(s, fmt.Sprintf("%s is torn after %d of %d bytes", describe(m.kind, m.body), n, len(whole)))
	_, err := s.out.Write(whole[:n])
	return err
}

// hold keeps the session waiting, for ever where d is 0: until either end is gone.
func (s *session) hold(d time.Duration) error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return nil
	case <-s.served:
	case <-s.upDone:
	}
	return errCut
}

// finish ends the session at both ends, and returns when both have ended.
func (s *session) finish(err error) {
	_ = s.inner.Close() // never fails
	switch {
	case errors.Is(err, errReset):
		reset(s.raw)
	case errors.Is(err, errCut):
		closeWrite(s.raw)
	default:
		closeWrite(s.peer)
		closeWrite(s.raw)
	}
	_ = s.peer.SetReadDeadline(time.Now().Add(linger)) // closed already
	<-s.upDone
	_ = s.raw.Close() // nothing is left to lose
	<-s.served
}

// cut ends the session from outside.
func (s *session) cut() {
	closeWrite(s.raw)
	_ = s.inner.Close() // never fails
}

// closeWrite closes the writing side, so that the client sees the end.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // closed already
	}
}

// reset closes the connection with a TCP reset, or what looks like one.
func reset(c net.Conn) {
	switch c := c.(type) {
	case *net.TCPConn:
		_ = c.SetLinger(0) // closed already
		_ = c.Close()      // nothing is left to lose
	case *memConn:
		c.reset()
	}
}

// answering is the answer under way. What the server says unasked belongs to the last.
func (s *session) answering() *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return &answer{}
	}
	return s.pending[0]
}

func (s *session) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) > 0 {
		s.pending = s.pending[1:]
	}
	s.since = time.Now()
	if len(s.pending) > 0 {
		s.pending[0].began = s.since
	}
}

func (s *session) asked(a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, a)
}

// doing says what the session does.
func (s *session) doing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return fmt.Sprintf("session %s has been idle for %v", s.name, time.Since(s.since).Round(time.Millisecond))
	}
	a := s.pending[0]
	what := a.command
	if what == "" {
		what = "startup"
	}
	return fmt.Sprintf("session %s has been at %s for %v", s.name, what, time.Since(a.began).Round(time.Millisecond))
}
