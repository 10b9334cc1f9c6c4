package walsendertest

import (
	"net"
	"time"
)

// begin makes the wire of a session.
func (s *Server) begin(conn, raw net.Conn) *wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &wire{
		server: s, name: sessionName(s.count), number: s.count + 1, peer: conn, raw: raw,
		upDone: make(chan struct{}), served: make(chan struct{}), since: time.Now(),
	}
	s.count++
	s.wires[w] = true
	return w
}

func (s *Server) end(w *wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wires, w)
	if s.leader == w {
		s.leader = nil
	}
}

func (s *Server) lead(w *wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = w
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
