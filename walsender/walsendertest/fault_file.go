package walsendertest

import (
	"fmt"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// atByte is a fault that comes when n bytes of the file have been sent. What comes
// after them is lost, or is next's where act passes it on.
func atByte(text, path string, n int64, act func(w *wire, rest message, next sender) error) Fault {
	return wireFault(text, func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			before, ok := m.reaches(path, n)
			if !ok || !f.happens(w) {
				return next(m)
			}
			if len(before.body) > 0 {
				if err := next(before); err != nil {
					return err
				}
			}
			m.body, m.offset = m.body[len(before.body):], n
			return act(w, m, next)
		}
	})
}

// Stall stops in the file after n bytes, with the connection open, until either end
// closes it. The server does so when its SenderTimeout is over and the file is larger
// than what is buffered.
func Stall(path string, n int64) Fault {
	return atByte(fmt.Sprintf("Stall(%q, %d)", path, n), path, n, func(w *wire, _ message, _ sender) error {
		return w.hold(0)
	})
}

// Pause stops in the file after n bytes for d, then goes on.
func Pause(path string, n int64, d time.Duration) Fault {
	return atByte(fmt.Sprintf("Pause(%q, %d, %v)", path, n, d), path, n, func(w *wire, rest message, next sender) error {
		if err := w.hold(d); err != nil {
			return err
		}
		return next(rest)
	})
}

// Drip sends the file in messages of n bytes, and waits for d before each.
func Drip(path string, n int, d time.Duration) Fault {
	return wireFault(fmt.Sprintf("Drip(%q, %d, %v)", path, n, d), func(w *wire, f *armedFault) tap {
		dripping := false
		return func(m message, next sender) error {
			if m.answer.path != path {
				dripping = false
			} else if m.kind == 'H' {
				dripping = f.happens(w)
			}
			if !dripping || m.kind != 'd' {
				return next(m)
			}
			return m.pieces(n, func(piece message) error {
				if err := w.hold(d); err != nil {
					return err
				}
				return next(piece)
			})
		}
	})
}

// CutFile closes the connection after n bytes of the file, inside of a message.
func CutFile(path string, n int64) Fault {
	return cutFile(fmt.Sprintf("CutFile(%q, %d)", path, n), path, n, errCut)
}

// ResetFile is [CutFile] with a TCP reset: what the client has not read is lost.
func ResetFile(path string, n int64) Fault {
	return cutFile(fmt.Sprintf("ResetFile(%q, %d)", path, n), path, n, errReset)
}

func cutFile(text, path string, n int64, how error) Fault {
	return wireFault(text, func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			before, ok := m.reaches(path, n)
			if !ok || !f.happens(w) {
				return next(m)
			}
			if err := w.tear(m, 5+len(before.body)); err != nil {
				return err
			}
			return how
		}
	})
}

// EOFWithoutCopyDone closes the connection after all bytes of the file, where
// CopyDone would come.
func EOFWithoutCopyDone(path string) Fault {
	return wireFault(fmt.Sprintf("EOFWithoutCopyDone(%q)", path), func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.path == path && m.kind == 'c' && f.happens(w) {
				return errCut
			}
			return next(m)
		}
	})
}

// ErrorInFile ends the file after n bytes with the error. A fatal one ends the session.
func ErrorInFile(path string, n int64, failure *protocol.Error) Fault {
	text := fmt.Sprintf("ErrorInFile(%q, %d, %s)", path, n, failure.Code)
	return atByte(text, path, n, func(_ *wire, rest message, next sender) error {
		return rest.fail(failure, next)
	})
}

// ErrorAfterCopyDone has the error where CommandComplete would be, when the file seems
// to be whole. A fatal one ends the session.
func ErrorAfterCopyDone(path string, failure *protocol.Error) Fault {
	text := fmt.Sprintf("ErrorAfterCopyDone(%q, %s)", path, failure.Code)
	return wireFault(text, func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.path != path || m.kind != 'C' || !f.happens(w) {
				return next(m)
			}
			return m.fail(failure, next)
		}
	})
}

// LeaderLost cuts the connection of the backup's leader after n bytes of the file,
// whichever session sends that.
func LeaderLost(path string, n int64) Fault {
	return atByte(fmt.Sprintf("LeaderLost(%q, %d)", path, n), path, n, func(w *wire, rest message, next sender) error {
		w.server.loseLeader()
		return next(rest)
	})
}

// fail says the error in the message's stead, and nothing more of the answer but
// ReadyForQuery.
func (m message) fail(failure *protocol.Error, next sender) error {
	if err := next(m.say(failure.Response())); err != nil {
		return err
	}
	if failure.Fatal() {
		return errCut
	}
	m.answer.skipping = true
	return nil
}
