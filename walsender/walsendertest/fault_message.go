package walsendertest

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// Frames sends all files in CopyData messages of n bytes of payload, but for the last
// of a file, which holds the rest. More than 1 MiB is against §4.6.
func Frames(n int) Fault {
	return always(fmt.Sprintf("Frames(%d)", n), func(s *session, f *armedFault) tap {
		var gathered []byte
		return func(m message, next sender) error {
			if m.answer.path == "" {
				return next(m) // the messages of a BASE_BACKUP, or of WAL, say what they are
			}
			data := m
			data.kind, data.offset = 'd', m.answer.sent-int64(len(gathered))
			if m.kind != 'd' {
				data.body = gathered
				gathered = nil
				if err := data.pieces(n, next); err != nil {
					return err
				}
				return next(m)
			}
			f.happens(s)
			gathered = append(gathered, m.body...)
			data.body = gathered[:len(gathered)-len(gathered)%n]
			err := data.pieces(n, next)
			gathered = slices.Clone(gathered[len(data.body):])
			return err
		}
	})
}

// Notices has a NOTICE before every message of a session but its first.
func Notices() Fault {
	notice := &protocol.Error{Severity: protocol.SeverityNotice, Code: "00000", Message: "a notice may come at any time"}
	return before("Notices()", wire.NoticeResponse(notice))
}

// UnknownParameter has a ParameterStatus that no client knows before every message of
// a session but its first.
func UnknownParameter() Fault {
	return before("UnknownParameter()", &pgproto3.ParameterStatus{Name: "walsendertest.unknown", Value: "1"})
}

// Announced announces these extensions to every session, whatever the server announces:
// names with commas between them, or none (§8.1). The server knows no more for it.
func Announced(extensions string) Fault {
	return always(fmt.Sprintf("Announced(%q)", extensions), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			var status pgproto3.ParameterStatus
			if m.kind != 'S' || m.answer.command != "" || status.Decode(m.body) != nil || status.Name != protocol.ParameterExtensions {
				return next(m)
			}
			f.happens(s)
			status.Value = extensions
			return next(m.say(&status))
		}
	})
}

// before says something before every message but the first, which clients take for the
// answer to their startup packet.
func before(text string, said pgproto3.BackendMessage) Fault {
	return always(text, func(s *session, f *armedFault) tap {
		first := true
		return func(m message, next sender) error {
			if !first {
				f.happens(s)
				if err := next(m.say(said)); err != nil {
					return err
				}
			}
			first = false
			return next(m)
		}
	})
}

// LateNotices keeps the notices of each command back until just before its
// ReadyForQuery.
func LateNotices() Fault {
	return always("LateNotices()", func(s *session, f *armedFault) tap {
		var kept []message
		return func(m message, next sender) error {
			switch m.kind {
			case 'N':
				f.happens(s)
				m.body = slices.Clone(m.body)
				kept = append(kept, m)
				return nil
			case 'Z':
				for _, notice := range kept {
					if err := next(notice); err != nil {
						return err
					}
				}
				kept = nil
			}
			return next(m)
		}
	})
}

func always(text string, tap func(*session, *armedFault) tap) Fault {
	return Fault{text: text, tap: tap}
}
