package walsender

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// admit gives the session a process id and a place, or returns FATAL 53300 (§1.8).
func (s *Server) admit(sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.startup.ctx.Err() != nil {
		return context.Cause(sess.startup.ctx)
	}
	if err := s.takePlace(sess); err != nil {
		return err
	}
	s.endStartup(sess.startup)
	sess.key = newCancelKey()
	for s.keys[sess.key.processID] != nil {
		sess.key = newCancelKey()
	}
	s.keys[sess.key.processID] = sess
	return nil
}

// takePlace gives the session a place among max_wal_senders, or, if it may look after the
// server, one of those that are reserved for that and for nothing else. The lock is held.
func (s *Server) takePlace(sess *session) error {
	if len(s.keys)-s.reserved < s.maxWALSenders() {
		return nil
	}
	if s.Authenticator == nil || !sess.grant.Monitor || s.reserved >= s.reservedConnections() {
		return errTooManySessions(protocol.SeverityFatal, s.maxWALSenders())
	}
	s.reserved++
	sess.reserved = true
	sess.grant.Backup, sess.grant.PassThrough = false, false
	return nil
}

func errTooManySessions(severity string, limit int) *protocol.Error {
	err := protocol.Errorf(protocol.CodeTooManyConnections,
		"number of requested standby connections exceeds max_wal_senders (currently %d)", limit)
	err.Severity = severity
	return err
}

// dismiss gives the session's place back, if it was given one.
func (s *Server) dismiss(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[sess.key.processID] == sess {
		delete(s.keys, sess.key.processID)
		if sess.reserved {
			s.reserved--
		}
	}
}

func (s *Server) maxWALSenders() int { return cmp.Or(max(0, s.MaxWALSenders), DefaultMaxWALSenders) }

func (s *Server) reservedConnections() int {
	return max(0, cmp.Or(s.ReservedConnections, DefaultReservedConnections))
}

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

// lowestProcessID keeps the process ids of sessions above those of real processes
// (§1.3): names built from them, such as pg_basebackup_PID, never meet the
// cluster's own.
const lowestProcessID = 1<<22 + 1

// cancelKey is what BackendKeyData tells a client and CancelRequest gives back.
type cancelKey struct {
	processID uint32
	secret    [4]byte
}

func newCancelKey() cancelKey {
	var random [8]byte
	rand.Read(random[:]) // never fails
	key := cancelKey{processID: lowestProcessID + binary.BigEndian.Uint32(random[:])%(1<<31-lowestProcessID)}
	copy(key.secret[:], random[4:])
	return key
}

// matches compares the secret in constant time.
func (k cancelKey) matches(secret []byte) bool {
	return subtle.ConstantTimeCompare(k.secret[:], secret) == 1
}
