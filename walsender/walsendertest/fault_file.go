package walsendertest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// Vanished has the file listed, but gone whenever it is asked for: 58P01.
func Vanished(path string) Fault {
	return opening(fmt.Sprintf("Vanished(%q)", path), path, func(f *armedFault, open opener) (fs.File, error) {
		f.happens(nil)
		return nil, gone(path)
	})
}

// ShortFile sends the first n bytes of the file only, and ends it properly, as of a file
// that was truncated since it was listed.
func ShortFile(path string, n int64) Fault {
	return opening(fmt.Sprintf("ShortFile(%q, %d)", path, n), path, func(f *armedFault, open opener) (fs.File, error) {
		file, err := open()
		if err != nil {
			return nil, err
		}
		f.happens(nil)
		return shortFile{file, io.LimitReader(file, n)}, nil
	})
}

type shortFile struct {
	fs.File
	in io.Reader
}

func (s shortFile) Read(p []byte) (int, error) { return s.in.Read(p) }

// GrownFile lists the file with a size that is n bytes less than what is sent, as of a
// file that has grown since.
func GrownFile(path string, n int64) Fault {
	return listing(fmt.Sprintf("GrownFile(%q, %d)", path, n), func(f *armedFault, row protocol.File) []protocol.File {
		if row.Path == path {
			f.happens(nil)
			row.Size = max(0, row.Size-n)
		}
		return []protocol.File{row}
	})
}

// Stall stops in the file after n bytes, with the connection open, until either end
// closes it. The server does so when its SenderTimeout is over and the file is larger
// than what is buffered.
func Stall(path string, n int64) Fault {
	return atByte(fmt.Sprintf("Stall(%q, %d)", path, n), path, n, func(s *session, _ message, _ sender) error {
		return s.hold(0)
	})
}

// Pause stops in the file after n bytes for d, then goes on.
func Pause(path string, n int64, d time.Duration) Fault {
	return atByte(fmt.Sprintf("Pause(%q, %d, %v)", path, n, d), path, n, func(s *session, rest message, next sender) error {
		if err := s.hold(d); err != nil {
			return err
		}
		return next(rest)
	})
}

// Drip sends the file in messages of n bytes, and waits for d before each.
func Drip(path string, n int, d time.Duration) Fault {
	return sessionFault(fmt.Sprintf("Drip(%q, %d, %v)", path, n, d), func(s *session, f *armedFault) tap {
		dripping := false
		return func(m message, next sender) error {
			if m.answer.path != path {
				dripping = false
			} else if m.kind == 'H' {
				dripping = f.happens(s)
			}
			if !dripping || m.kind != 'd' {
				return next(m)
			}
			return m.pieces(n, func(piece message) error {
				if err := s.hold(d); err != nil {
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
	return sessionFault(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			before, ok := m.reaches(path, n)
			if !ok || !f.happens(s) {
				return next(m)
			}
			if err := s.tear(m, 5+len(before.body)); err != nil {
				return err
			}
			return how
		}
	})
}

// EOFWithoutCopyDone closes the connection after all bytes of the file, where
// CopyDone would come.
func EOFWithoutCopyDone(path string) Fault {
	return sessionFault(fmt.Sprintf("EOFWithoutCopyDone(%q)", path), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.path == path && m.kind == 'c' && f.happens(s) {
				return errCut
			}
			return next(m)
		}
	})
}

// ErrorInFile ends the file after n bytes with the error. A fatal one ends the session.
func ErrorInFile(path string, n int64, failure *protocol.Error) Fault {
	text := fmt.Sprintf("ErrorInFile(%q, %d, %s)", path, n, failure.Code)
	return atByte(text, path, n, func(_ *session, rest message, next sender) error {
		return rest.fail(failure, next)
	})
}

// ErrorAfterCopyDone has the error where CommandComplete would be, when the file seems
// to be whole. A fatal one ends the session.
func ErrorAfterCopyDone(path string, failure *protocol.Error) Fault {
	text := fmt.Sprintf("ErrorAfterCopyDone(%q, %s)", path, failure.Code)
	return sessionFault(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.path != path || m.kind != 'C' || !f.happens(s) {
				return next(m)
			}
			return m.fail(failure, next)
		}
	})
}

// atByte is a fault that comes when n bytes of the file have been sent. What comes
// after them is lost, or is next's where act passes it on.
func atByte(text, path string, n int64, act func(s *session, rest message, next sender) error) Fault {
	return sessionFault(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			before, ok := m.reaches(path, n)
			if !ok || !f.happens(s) {
				return next(m)
			}
			if len(before.body) > 0 {
				if err := next(before); err != nil {
					return err
				}
			}
			m.body, m.offset = m.body[len(before.body):], n
			return act(s, m, next)
		}
	})
}

// opener opens the file that a fault is about.
type opener func() (fs.File, error)

// opening is a fault that takes the place of opening the file.
func opening(text, path string, act func(*armedFault, opener) (fs.File, error)) Fault {
	return Fault{text: text, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return otherOpen{l, path, func(open opener) (fs.File, error) { return act(f, open) }}
	}}
}

type otherOpen struct {
	layer
	path string
	act  func(opener) (fs.File, error)
}

func (c otherOpen) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	open := func() (fs.File, error) { return c.layer.Open(ctx, name, o) }
	if name != c.path {
		return open()
	}
	return c.act(open)
}
