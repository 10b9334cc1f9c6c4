package walsendertest

import (
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
)

// FailCommand answers the k-th command (over all sessions, from 1) whose first word is
// verb with the error. The server itself has run it. A fatal error ends the session.
func FailCommand(verb string, k int, failure *protocol.Error) Fault {
	text := fmt.Sprintf("FailCommand(%s, %d, %s)", verb, k, failure.Code)
	return sessionFault(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.verb != verb || m.answer.messages > 0 || f.next() != k || !f.happens(s) {
				return next(m)
			}
			return m.fail(failure, next)
		}
	})
}

// CutCommand closes the connection where the answer to the k-th command (over all
// sessions, from 1) whose first word is verb would begin.
func CutCommand(verb string, k int) Fault {
	return sessionFault(fmt.Sprintf("CutCommand(%s, %d)", verb, k), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if m.answer.verb != verb || m.answer.messages > 0 || f.next() != k || !f.happens(s) {
				return next(m)
			}
			return errCut
		}
	})
}
