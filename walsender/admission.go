package walsender

import (
	"cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// admit gives the session a process id and a place among max_wal_senders, or
// returns FATAL 53300 (§1.8).
func (s *Server) admit(sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.maxWALSenders(); len(s.keys) >= limit {
		return protocol.Fatalf(protocol.CodeTooManyConnections,
			"number of requested standby connections exceeds max_wal_senders (currently %d)", limit)
	}
	sess.key = newCancelKey()
	for s.keys[sess.key.processID] != nil {
		sess.key = newCancelKey()
	}
	s.keys[sess.key.processID] = sess
	return nil
}

// dismiss gives the session's place back, if it was given one.
func (s *Server) dismiss(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[sess.key.processID] == sess {
		delete(s.keys, sess.key.processID)
	}
}

func (s *Server) maxWALSenders() int { return cmp.Or(max(0, s.MaxWALSenders), DefaultMaxWALSenders) }

// cancelCommand serves a CancelRequest (§1.3): it cancels the command that the
// session runs, if the secret is right. The asker learns nothing either way.
func (s *Server) cancelCommand(m wire.CancelRequest) {
	s.mu.Lock()
	sess := s.keys[m.ProcessID]
	s.mu.Unlock()
	if sess != nil && sess.key.matches(m.SecretKey) {
		sess.interrupt(protocol.Errorf(protocol.CodeQueryCanceled, "canceling statement due to user request"))
	}
}
