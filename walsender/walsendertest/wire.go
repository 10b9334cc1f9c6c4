package walsendertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// linger is how long a connection that the server has ended waits for the client to
// close it too: closing a socket with bytes unread would take the last message away.
const linger = 500 * time.Millisecond

// What a tap ends a session with.
var (
	errCut   = errors.New("connection cut")
	errReset = errors.New("connection reset")
)

// wire is one session: the client's connection at one end, a walsender.Server's at the
// other, and what passes between them, message by message.
type wire struct {
	server *Server
	name   string   // A, B, …
	number int      // from 1
	peer   net.Conn // the client, above TLS
	raw    net.Conn // the client, below TLS
	inner  *memConn // the server

	out    *bufio.Writer // to the client; used by down alone
	chain  sender
	upDone chan struct{} // closed when the client says nothing more
	served chan struct{} // closed when the server's session has ended

	mu      sync.Mutex
	pending []*answer // the one under way first
	since   time.Time // when the session became idle
}

// run runs the session, which begins with a startup packet, to its end.
func (w *wire) run(startup []byte) {
	inner, server := memPipe()
	w.inner = inner
	w.out = bufio.NewWriterSize(w.peer, 64<<10)
	w.chain = w.forward
	for i := len(w.server.faults) - 1; i >= 0; i-- {
		if f := w.server.faults[i]; f.tap != nil {
			tap, next := f.tap(w, f), w.chain
			w.chain = func(m message) error { return tap(m, next) }
		}
	}
	w.pending = []*answer{{began: time.Now()}}
	go func() { // ends with the server's session
		defer close(w.served)
		_ = w.server.Config.ServeConn(context.Background(), server) // how it ended is in the record
		// A client that does not read holds up the wire no longer.
		_ = w.peer.SetWriteDeadline(time.Now().Add(linger)) // closed already
	}()
	_, _ = inner.Write(startup) // an error shows at the next read
	go w.up()                   // ends when the client's connection does
	w.finish(w.down())
}

// down passes on what the server says, until it ends or a fault ends the session.
func (w *wire) down() error {
	in := bufio.NewReaderSize(w.inner, 64<<10)
	var buf []byte
	for {
		if in.Buffered() == 0 {
			if err := w.out.Flush(); err != nil {
				return err
			}
		}
		kind, body, err := readMessage(in, &buf)
		if err != nil {
			return w.out.Flush()
		}
		if err := w.pass(kind, body); err != nil {
			return errors.Join(err, w.out.Flush())
		}
	}
}

// pass sends a message through the faults.
func (w *wire) pass(kind byte, body []byte) error {
	a := w.answering()
	if !a.skipping || kind == 'Z' {
		if err := w.chain(message{kind: kind, body: body, answer: a, offset: a.sent}); err != nil {
			return err
		}
	}
	a.messages++
	switch kind {
	case 'd':
		a.sent += int64(len(body))
	case 'Z':
		w.answered()
	case 'C':
		if a.verb == "START_BACKUP" {
			w.server.lead(w)
		}
	}
	return nil
}

// forward is the end of the chain: the client.
func (w *wire) forward(m message) error {
	w.server.record.said(w, m)
	if _, err := w.out.Write(header(m.kind, len(m.body))); err != nil {
		return err
	}
	_, err := w.out.Write(m.body)
	return err
}

// tear sends the first n bytes of a message, its header included, and no more.
func (w *wire) tear(m message, n int) error {
	whole := append(header(m.kind, len(m.body)), m.body...)
	w.server.record.note(w, fmt.Sprintf("%s is torn after %d of %d bytes", describe(m.kind, m.body), n, len(whole)))
	_, err := w.out.Write(whole[:n])
	return err
}

// hold keeps the session waiting, for ever where d is 0: until either end is gone.
func (w *wire) hold(d time.Duration) error {
	if err := w.out.Flush(); err != nil {
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
	case <-w.served:
	case <-w.upDone:
	}
	return errCut
}

// finish ends the session at both ends, and returns when both have ended.
func (w *wire) finish(err error) {
	_ = w.inner.Close() // never fails
	switch {
	case errors.Is(err, errReset):
		reset(w.raw)
	case errors.Is(err, errCut):
		closeWrite(w.raw)
	default:
		closeWrite(w.peer)
		closeWrite(w.raw)
	}
	_ = w.peer.SetReadDeadline(time.Now().Add(linger)) // closed already
	<-w.upDone
	_ = w.raw.Close() // nothing is left to lose
	<-w.served
}

// cut ends the session from outside.
func (w *wire) cut() {
	closeWrite(w.raw)
	_ = w.inner.Close() // never fails
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
func (w *wire) answering() *answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		return &answer{}
	}
	return w.pending[0]
}

func (w *wire) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) > 0 {
		w.pending = w.pending[1:]
	}
	w.since = time.Now()
	if len(w.pending) > 0 {
		w.pending[0].began = w.since
	}
}

func (w *wire) asked(a *answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, a)
}

// doing says what the session does.
func (w *wire) doing() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		return fmt.Sprintf("session %s has been idle for %v", w.name, time.Since(w.since).Round(time.Millisecond))
	}
	a := w.pending[0]
	what := a.command
	if what == "" {
		what = "startup"
	}
	return fmt.Sprintf("session %s has been at %s for %v", w.name, what, time.Since(a.began).Round(time.Millisecond))
}
