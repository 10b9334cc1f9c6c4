package walsendertest

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// streamSize is how many bytes a stream holds unread, about what a socket does.
const streamSize = 64 << 10

// stream is one direction of a connection in memory. It waits with channels only,
// so that a goroutine which waits is at rest for testing/synctest.
type stream struct {
	mu      sync.Mutex
	unread  []byte
	readErr error // what the reader gets when nothing is left to read
	sendErr error // what the writer gets, at once
	read    deadline
	write   deadline
	changed chan struct{} // closed, and made anew, at every change
}

// errClosed is what an end gets that was closed on its own side.
var errClosed = errors.New("closed")

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change wakes whoever waits. The lock is held.
func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.read.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.unread) > 0 || len(p) == 0:
			n := copy(p, s.unread)
			s.unread = s.unread[:copy(s.unread, s.unread[n:])]
			s.change()
			return n, nil
		case s.readErr != nil:
			return 0, s.readErr
		}
		s.wait()
	}
}

func (s *stream) Write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.sendErr != nil:
			return written, s.sendErr
		case s.write.passed():
			return written, os.ErrDeadlineExceeded
		}
		if n := min(len(p)-written, streamSize-len(s.unread)); n > 0 {
			s.unread = append(s.unread, p[written:written+n]...)
			written += n
			s.change()
		}
		if written == len(p) {
			return written, nil
		}
		s.wait()
	}
}

// wait gives the lock away until something changes.
func (s *stream) wait() {
	changed := s.changed
	s.mu.Unlock()
	<-changed
	s.mu.Lock()
}

// closeWrite ends the stream behind what was written.
func (s *stream) closeWrite() { s.end(io.EOF, errClosed) }

// reset ends the stream at once: what was not read is lost.
func (s *stream) reset() {
	s.mu.Lock()
	s.unread = nil
	s.mu.Unlock()
	s.end(syscall.ECONNRESET, syscall.ECONNRESET)
}

// end sets what reader and writer get, unless they get something already.
func (s *stream) end(readErr, sendErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr == nil {
		s.readErr = readErr
	}
	if s.sendErr == nil {
		s.sendErr = sendErr
	}
	s.change()
}

// closeRead is the reader's own close.
func (s *stream) closeRead() {
	s.mu.Lock()
	s.unread = nil
	s.readErr = errClosed
	s.mu.Unlock()
	s.end(errClosed, syscall.EPIPE)
}

// setDeadline sets d, which is the stream's own.
func (s *stream) setDeadline(d *deadline, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.change()
		})
	}
	s.change()
}

// deadline is when reads, or writes, fail.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
