package walsendertest

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// FailCommand answers the k-th command (over all sessions, from 1) whose first word is
// verb with the error. The server itself has run it. A fatal error ends the session.
func FailCommand(verb string, k int, failure *protocol.Error) Fault {
	text := fmt.Sprintf("FailCommand(%s, %d, %s)", verb, k, failure.Code)
	return wireFault(text, func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.verb != verb || m.answer.messages > 0 || f.next() != k || !f.happens(w) {
				return next(m)
			}
			return m.fail(failure, next)
		}
	})
}

// CutCommand closes the connection where the answer to the k-th command (over all
// sessions, from 1) whose first word is verb would begin.
func CutCommand(verb string, k int) Fault {
	return wireFault(fmt.Sprintf("CutCommand(%s, %d)", verb, k), func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.verb != verb || m.answer.messages > 0 || f.next() != k || !f.happens(w) {
				return next(m)
			}
			return errCut
		}
	})
}

// LateErrorAtStop has the error after the row and the CommandComplete of STOP_BACKUP,
// where that of wrong page checksums comes (§4.3).
func LateErrorAtStop(failure *protocol.Error) Fault {
	return wireFault(fmt.Sprintf("LateErrorAtStop(%s)", failure.Code), func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.verb != "STOP_BACKUP" || m.kind != 'C' || !f.happens(w) {
				return next(m)
			}
			if err := next(m); err != nil {
				return err
			}
			return m.fail(failure, next)
		}
	})
}

// WrongID has START_BACKUP tell an id that no JOIN_BACKUP is taken with.
func WrongID() Fault {
	const other = "00000000000000000000000000000000"
	return wireFault("WrongID()", func(w *wire, f *armedFault) tap {
		return func(m message, next sender) error {
			var row pgproto3.DataRow
			if m.answer.verb != "START_BACKUP" || m.kind != 'D' || row.Decode(m.body) != nil || len(row.Values) != 4 || !f.happens(w) {
				return next(m)
			}
			values := slices.Clone(row.Values)
			values[3] = []byte(other)
			return next(m.say(&pgproto3.DataRow{Values: values}))
		}
	})
}
