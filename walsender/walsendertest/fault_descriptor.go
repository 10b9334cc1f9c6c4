package walsendertest

import (
	"fmt"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// DescriptorMistake is what can be wrong with the descriptor of a file (§8.4).
type DescriptorMistake string

// The mistakes.
const (
	NoDescriptor        DescriptorMistake = "none"
	TwoDescriptors      DescriptorMistake = "two"
	DirectoryDescriptor DescriptorMistake = "of a directory"
	DeviceDescriptor    DescriptorMistake = "of a device"
	WritableDescriptor  DescriptorMistake = "open for writing"
)

// WrongDescriptor hands over the file with a descriptor that no server sends. It needs a server
// on a Unix socket ([Server.Unix]) whose cluster lies on disk, and a client that asks for
// descriptors.
func WrongDescriptor(path string, what DescriptorMistake) Fault {
	return handing(fmt.Sprintf("WrongDescriptor(%q, %q)", path, what), path, func(m *message) error {
		switch what {
		case NoDescriptor:
			m.files = nil
		case TwoDescriptors:
			m.files = append(m.files, m.files[0])
		case DirectoryDescriptor:
			return m.handInstead(os.Open(os.TempDir()))
		case DeviceDescriptor:
			return m.handInstead(os.Open(os.DevNull))
		case WritableDescriptor:
			f, err := os.CreateTemp("", "writable")
			if err == nil {
				err = os.Remove(f.Name())
			}
			return m.handInstead(f, err)
		}
		return nil
	})
}

// WrongDescriptorSize hands over the file with another number of bytes than its own. See
// [WrongDescriptor].
func WrongDescriptorSize(path string, size int64) Fault {
	return handing(fmt.Sprintf("WrongDescriptorSize(%q, %d)", path, size), path, func(m *message) error {
		m.body = strconv.AppendInt(nil, size, 10)
		return nil
	})
}

// HandsOverSent sends the file as if it handed the file over, whatever was asked for:
// CopyBothResponse stands in the place of CopyOutResponse. No server does so with pg_control, or
// in a backup that has a rate.
func HandsOverSent(path string) Fault {
	return sessionFault(fmt.Sprintf("HandsOverSent(%q)", path), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.kind != 'H' || m.answer.path != path || !f.happens(s) {
				return next(m)
			}
			return next(m.say(&pgproto3.CopyBothResponse{}))
		}
	})
}

// FailWhileCopied answers with the error, in the place of its own, what a client says ahead of
// the CopyDone of a file that it copies by its descriptor. See [WrongDescriptor].
func FailWhileCopied(failure *protocol.Error) Fault {
	return sessionFault(fmt.Sprintf("FailWhileCopied(%s)", failure.Code), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.kind != 'E' || m.answer.path == "" || !m.answer.copying || !f.happens(s) {
				return next(m)
			}
			return next(m.say(wire.ErrorResponse(failure)))
		}
	})
}

// handInstead has another file handed over.
func (m *message) handInstead(f *os.File, err error) error {
	if err != nil {
		return err
	}
	m.files = []*os.File{f}
	m.opened = f
	return nil
}

// handing is a fault in the message that hands the file over.
func handing(text, path string, change func(*message) error) Fault {
	return sessionFault(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.path != path || len(m.files) == 0 || !f.happens(s) {
				return next(m)
			}
			if err := change(&m); err != nil {
				return err
			}
			err := next(m)
			if m.opened != nil {
				_ = m.opened.Close() // it was not written to
			}
			return err
		}
	})
}
