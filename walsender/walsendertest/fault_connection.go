package walsendertest

import (
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// Refusal is how a server turns a client away.
type Refusal int

// The refusals.
const (
	PlainClose     Refusal = iota // without a word
	TooManySenders                // FATAL 53300 (§1.8)
	StartingUp                    // FATAL 57P03, as of a server that soon accepts connections
)

// String is the refusal's name.
func (r Refusal) String() string {
	return [...]string{"PlainClose", "TooManySenders", "StartingUp"}[r]
}

// response is what the client is told, nil for nothing.
func (r Refusal) response() *protocol.Error {
	switch r {
	case TooManySenders:
		return protocol.Fatalf(protocol.CodeTooManyConnections,
			"number of requested standby connections exceeds max_wal_senders (currently %d)", walsender.DefaultMaxWALSenders)
	case StartingUp:
		return protocol.Fatalf("57P03", "the database system is starting up")
	}
	return nil
}

// RefuseConnection refuses the k-th session that connects, from 1, after its startup
// packet.
func RefuseConnection(k int, how Refusal) Fault {
	text := fmt.Sprintf("RefuseConnection(%d, %v)", k, how)
	return sessionFault(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			if s.number != k || m.kind != 'R' || !f.happens(s) {
				return next(m)
			}
			if told := how.response(); told != nil {
				return m.fail(told, next)
			}
			return errCut
		}
	})
}

// CutAfter closes the k-th session's connection, from 1, when the client has been sent
// n bytes, wherever that is: in the startup, a row, a file.
func CutAfter(k int, n int64) Fault {
	return cutSession(fmt.Sprintf("CutAfter(%d, %d)", k, n), k, n, errCut)
}

// ResetAfter is [CutAfter] with a TCP reset: what the client has not read is lost.
func ResetAfter(k int, n int64) Fault {
	return cutSession(fmt.Sprintf("ResetAfter(%d, %d)", k, n), k, n, errReset)
}

func cutSession(text string, k int, n int64, how error) Fault {
	return sessionFault(text, func(s *session, f *armedFault) tap {
		sent := int64(0)
		return func(m message, next sender) error {
			length := int64(5 + len(m.body))
			sent += length
			if s.number != k || sent <= n || !f.happens(s) {
				return next(m)
			}
			if err := s.tear(m, int(n-(sent-length))); err != nil {
				return err
			}
			return how
		}
	})
}
