// Package slots is the replication slots of a server: temporary ones, which live in its
// memory as long as the session that has created them, and which session uses one of the
// cluster's own.
package slots

import (
	"context"
	"strings"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
)

// MaxName is NAMEDATALEN without its end, in bytes.
const MaxName = 63

// Table is the slots of a server. Sessions use it side by side; each is known by its
// process id.
type Table struct {
	max int

	mu      sync.Mutex
	slots   map[string]*Slot
	changed chan struct{} // is closed when a slot is released or dropped, and made anew
}

// NewTable makes a table of at most max temporary slots.
func NewTable(max int) *Table {
	return &Table{max: max, slots: map[string]*Slot{}, changed: make(chan struct{})}
}

// Slot is a slot that a session has.
type Slot struct {
	table     *Table
	name      string
	owner     uint32
	temporary bool
	restart   protocol.LSN // guarded by the table's lock
}

// CheckName makes sure of the name of a slot that is to be created, as PostgreSQL does
// (ReplicationSlotValidateName in slot.c): 42602 or 42622.
func CheckName(name string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789_"
	refuse := func(code, format string) *protocol.Error {
		return protocol.Errorf(code, "replication slot name \"%s\" "+format, protocol.Shorten(name, MaxName+1))
	}
	switch {
	case name == "":
		return refuse(protocol.CodeInvalidName, "is too short")
	case len(name) > MaxName:
		return refuse(protocol.CodeNameTooLong, "is too long")
	case strings.Trim(name, allowed) != "":
		return refuse(protocol.CodeInvalidName, "contains invalid character").
			WithHint("Replication slot names may only contain lower case letters, numbers, and the underscore character.")
	}
	return nil
}

// Create makes a temporary slot of the session. restart is from where on it keeps WAL, 0
// for nothing yet. A name that is taken is 42710, no room 53400.
func (t *Table) Create(name string, owner uint32, restart protocol.LSN) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[name] != nil {
		return AlreadyExists(name)
	}
	temporary := 0
	for _, s := range t.slots {
		if s.temporary {
			temporary++
		}
	}
	if temporary >= t.max {
		return protocol.Errorf(protocol.CodeConfigurationLimitExceeded, "all replication slots are in use").
			WithHint("This server has %d for temporary slots, as many as sessions, at least 10.", t.max)
	}
	t.slots[name] = &Slot{table: t, name: name, owner: owner, temporary: true, restart: restart}
	return nil
}

// Use gives the session a slot to stream with: one of its own, or kept, which the cluster
// has under the name and which is nil where it has none. The caller releases the slot.
// 42704 is the error for no such slot, 55006 for one of another session.
func (t *Table) Use(name string, owner uint32, kept *protocol.ReplicationSlot) (*Slot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.slots[name]
	switch {
	case s == nil && kept == nil:
		return nil, DoesNotExist(name)
	case s != nil && s.owner != owner:
		return nil, s.active()
	case s == nil:
		s = &Slot{table: t, name: name, owner: owner, restart: kept.RestartLSN}
		t.slots[name] = s
	}
	return s, nil
}

// Release gives a slot back. A temporary one stays the session's.
func (s *Slot) Release() {
	if !s.temporary {
		s.table.remove(func(other *Slot) bool { return other == s })
	}
}

// Confirm notes that the peer has flushed WAL up to a position, which it does not need
// any more.
func (s *Slot) Confirm(flushed protocol.LSN) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if flushed != 0 {
		s.restart = flushed
	}
}

// RestartLSN is from where on the slot of the name keeps WAL, and whether the table has
// the slot.
func (t *Table) RestartLSN(name string) (restart protocol.LSN, exists bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.slots[name]; s != nil {
		return s.restart, true
	}
	return 0, false
}

// Drop drops a temporary slot of the session; with wait it first waits, as long as ctx
// lasts, until another session has none of that name. 42704 is the error for no such slot,
// 55006 for one of another session.
func (t *Table) Drop(ctx context.Context, name string, owner uint32, wait bool) error {
	for {
		changed, err := t.drop(name, owner)
		if changed == nil || !wait {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drop drops a slot unless another session has it: then the channel says when to try again.
func (t *Table) drop(name string, owner uint32) (changed <-chan struct{}, err error) {
	t.mu.Lock()
	s := t.slots[name]
	changed = t.changed
	t.mu.Unlock()
	switch {
	case s == nil:
		return nil, DoesNotExist(name)
	case s.owner != owner:
		return changed, s.active()
	}
	t.remove(func(other *Slot) bool { return other == s })
	return nil, nil
}

// DropOwned drops all temporary slots of a session.
func (t *Table) DropOwned(owner uint32) {
	t.remove(func(s *Slot) bool { return s.temporary && s.owner == owner })
}

// remove forgets the slots for which the function reports true.
func (t *Table) remove(forget func(*Slot) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.slots)
	for name, s := range t.slots {
		if forget(s) {
			delete(t.slots, name)
		}
	}
	if len(t.slots) < before {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// active is the answer to who wants a slot that a session has.
func (s *Slot) active() *protocol.Error {
	return protocol.Errorf(protocol.CodeObjectInUse, "replication slot \"%s\" is active for PID %d", s.name, s.owner)
}

// AlreadyExists is the answer to who creates a slot that there is.
func AlreadyExists(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeDuplicateObject, "replication slot \"%s\" already exists", protocol.Shorten(name, MaxName+1))
}

// DoesNotExist is the answer to who asks for a slot that there is not.
func DoesNotExist(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedObject, "replication slot \"%s\" does not exist", protocol.Shorten(name, MaxName+1))
}
