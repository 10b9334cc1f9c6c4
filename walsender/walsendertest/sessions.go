package walsendertest

import (
	"net"
	"time"
)

// begin makes a session.
func (s *Server) begin(conn, raw net.Conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := &session{
		server: s, name: sessionName(s.count), number: s.count + 1, peer: conn, raw: raw,
		upDone: make(chan struct{}), served: make(chan struct{}), since: time.Now(),
	}
	s.count++
	s.sessions[sess] = true
	return sess
}

func (s *Server) end(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess)
	if s.leader == sess {
		s.leader = nil
	}
}

func (s *Server) lead(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = sess
}

// loseLeader cuts the leader's connection, if there is a leader.
func (s *Server) loseLeader() {
	s.mu.Lock()
	leader := s.leader
	s.mu.Unlock()
	if leader != nil {
		leader.cut()
	}
}

// sessionName counts A to Z, AA, AB, …
func sessionName(i int) string {
	name := string(rune('A' + i%26))
	if i >= 26 {
		name = sessionName(i/26-1) + name
	}
	return name
}
