package walstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// codeDuplicateObject is PostgreSQL's duplicate_object.
const codeDuplicateObject = "42710"

// temporarySlot is the name of a slot that lives as long as the connection.
func temporarySlot(c *wire.Conn) string { return fmt.Sprintf("pgparallel_%d", c.PID) }

// identifier quotes a name for a command of replication.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// CheckSlot makes sure of a slot that was named, before anything is done: it exists, unless
// it is to be created. Before PostgreSQL 15 there is no command that asks.
func CheckSlot(c *wire.Conn, name string, create bool) error {
	kind, err := wire.Row(c, "READ_REPLICATION_SLOT "+identifier(name), func(r protocol.Row) (string, error) {
		if len(r) == 0 {
			return "", errors.New("result has no columns")
		}
		return string(r[0]), nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("could not look for replication slot %q: %w", name, err)
	case kind == "" && !create:
		return protocol.Errorf(protocol.CodeUndefinedObject, "replication slot %q does not exist", name)
	case kind != "" && create:
		return protocol.Errorf(codeDuplicateObject, "replication slot %q already exists", name).WithHint("%s", slotExistsHint(name))
	}
	return nil
}

// slotExistsHint is what there is to do about a slot that is to be created, and is there.
func slotExistsHint(name string) string {
	return fmt.Sprintf("Do without --create-slot to use the slot. If a backup that was killed has left it, drop it: SELECT pg_drop_replication_slot('%s').", name)
}

// TrySlot makes sure that the slot can be created which Reserve would create, and creates
// nothing that outlives the connection: a temporary slot of the same name that reserves no
// WAL.
func (s *Stream) TrySlot() error {
	o := s.config
	if o.NoSlot || o.Slot != "" && !o.CreateSlot {
		return nil
	}
	_, err := s.newSlot(" TEMPORARY PHYSICAL")
	return err
}

// createSlot creates the slot that makes the server keep the WAL, unless one was named
// that exists. It comes behind the checkpoint: a slot reserves WAL from the last one on,
// and a limit counts from there.
func (s *Stream) createSlot() error {
	o := s.config
	if o.NoSlot || o.Slot != "" && !o.CreateSlot {
		return nil
	}
	kind, word := "", "replication slot"
	if o.Slot == "" {
		kind, word = " TEMPORARY", "temporary replication slot"
	}
	name, err := s.newSlot(kind + " PHYSICAL RESERVE_WAL")
	if err != nil {
		return err
	}
	s.slot, s.reserved, s.slotCreated = name, true, o.CreateSlot
	o.Log.Verbose("created %s %q", word, name)
	return nil
}

// newSlot creates a slot of a kind: with the name that was asked for, or one of the
// stream's own.
func (s *Stream) newSlot(kind string) (name string, err error) {
	if name = s.config.Slot; name == "" {
		name = temporarySlot(s.conn)
	}
	_, err = wire.Row(s.conn, "CREATE_REPLICATION_SLOT "+identifier(name)+kind, func(protocol.Row) (struct{}, error) {
		return struct{}{}, nil
	})
	if protocol.HasCode(err, codeDuplicateObject) {
		err = WithHint(err, slotExistsHint(name)) // PostgreSQL 13 and 14 cannot be asked before
	}
	if err != nil {
		return "", fmt.Errorf("could not create replication slot %q: %w", name, err)
	}
	return name, nil
}

// dropSlotTime bounds what a backup that has failed does about its slot.
const dropSlotTime = 10 * time.Second

// DropSlot drops the slot that the stream has created for a backup which has failed: nobody
// else would, and the server would keep its WAL for it until the disk is full. It is called
// after Close, and tells how it went.
func (s *Stream) DropSlot(d *wire.Dialer) {
	if !s.slotCreated {
		return
	}
	if err := s.dropSlot(d); err != nil {
		s.config.Log.Warning("could not drop replication slot %q: %v", s.slot, err)
		return
	}
	s.config.Log.Info("dropped replication slot %q", s.slot)
}

func (s *Stream) dropSlot(d *wire.Dialer) error {
	ctx, cancel := context.WithTimeout(context.Background(), dropSlotTime)
	defer cancel()
	c, err := d.Another(ctx, ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// The server may need a while to notice that nobody streams any more.
	return c.Command("DROP_REPLICATION_SLOT " + identifier(s.slot) + " WAIT")
}
