package walsendertest

import (
	"fmt"
	"sync"

	"github.com/pgparallel/pgparallel/walsender"
)

// Fault is something that goes wrong at a named point, once unless its function says
// otherwise. Faults are values: one may be given to many servers.
type Fault struct {
	text  string
	times int // 0: always

	// One of the two, or both: a fault in the cluster, or in what a session is told. tap
	// is called once a session.
	cluster func(layer, *armedFault) walsender.Cluster
	tap     func(*session, *armedFault) tap
}

// tap is a fault's place in a session: it gets each message to the client, and hands
// on by next what the client is to get. An error ends the session.
type tap func(m message, next sender) error

// sender passes a message on.
type sender func(m message) error

// String is the call that made the fault.
func (f Fault) String() string { return f.text }

// Times is the fault, happening up to n times; 0 means whenever it can.
func (f Fault) Times(n int) Fault {
	f.times = n
	f.text = fmt.Sprintf("%s.Times(%d)", f.text, n)
	return f
}

// sessionFault is a fault that happens once.
func sessionFault(text string, tap func(*session, *armedFault) tap) Fault {
	return Fault{text: text, times: 1, tap: tap}
}

// armedFault is a fault of one server.
type armedFault struct {
	Fault
	record *recorder

	mu    sync.Mutex
	count int // how often it happened
	seen  int // for faults that wait for the k-th of something
}

// happens reports whether it is to happen now, and notes that it does. w is the
// session, nil where it is not one's.
func (a *armedFault) happens(s *session) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times > 0 && a.count >= a.times {
		return false
	}
	a.count++
	if a.count == 1 || a.times > 0 {
		a.record.note(s, a.text)
	}
	return true
}

func (a *armedFault) happened() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count > 0
}

// next counts what the fault waits for, from 1.
func (a *armedFault) next() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	return a.seen
}
