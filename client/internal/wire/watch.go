package wire

import (
	"sync"
	"time"
)

// Watch listens to a connection that has nothing to do for a while: a leader whose
// loss would otherwise be found hours later.
type Watch struct {
	// Done is closed when nobody listens any more: Stop was called, or the connection
	// is lost.
	Done <-chan struct{}

	conn *Conn
	err  error // why the connection is lost; read after Done

	mu       sync.Mutex
	awaiting bool // a deadline may interrupt: no message has begun
	stopped  bool
}

// Watch starts a goroutine that reads the connection until Stop is called, or the
// connection is lost. Until Stop has returned nil nobody else may use the connection.
func (c *Conn) Watch() *Watch {
	done := make(chan struct{})
	w := &Watch{conn: c, Done: done}
	go func() { // ends by Stop, or with the connection
		defer close(done)
		w.err = w.listen()
	}()
	return w
}

func (w *Watch) listen() error {
	for w.begin() {
		err := w.conn.tap.await()
		if w.interrupted() && !w.conn.tap.held {
			return nil
		}
		if err != nil {
			// The reader may hold what the server said before it went.
			if _, _, err := w.conn.Next(); err != nil {
				return err
			}
			return lost(err)
		}
		kind, body, err := w.conn.frames.Next()
		if err != nil {
			return lost(err)
		}
		unasked, err := w.conn.unasked(kind, body)
		if err != nil {
			return err
		}
		if !unasked {
			return Unexpected(kind)
		}
	}
	return nil
}

func (w *Watch) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaiting = !w.stopped
	if w.stopped {
		w.conn.net.SetReadDeadline(time.Time{})
	}
	return w.awaiting
}

// interrupted ends the time in which a deadline may be set, and reports whether
// one was.
func (w *Watch) interrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaiting = false
	if w.stopped {
		w.conn.net.SetReadDeadline(time.Time{})
	}
	return w.stopped
}

// wholeTime is how long a message that has begun may take to be whole once the watch
// is to end.
const wholeTime = 10 * time.Second

// Stop ends the watch and returns why the connection is lost, if it is. After nil
// the connection is as before.
func (w *Watch) Stop() error {
	w.mu.Lock()
	w.stopped = true
	deadline := time.Now().Add(wholeTime)
	if w.awaiting {
		deadline = time.Unix(1, 0)
	}
	w.conn.net.SetReadDeadline(deadline)
	w.mu.Unlock()
	<-w.Done
	return w.err
}
