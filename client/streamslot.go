package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// temporarySlot is the name of a slot that lives as long as the connection.
func temporarySlot(c *wire.Conn) string { return fmt.Sprintf("pgparallel_%d", c.PID) }

// identifier quotes a name for a command of replication.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// createSlot creates the slot that makes the server keep the WAL, unless one was named
// that exists. It comes behind the checkpoint: a slot reserves WAL from the last one on,
// and a limit counts from there.
func (b *backup) createSlot() error {
	c := b.stream.conn
	if b.WAL.NoSlot || b.WAL.Slot != "" && !b.WAL.CreateSlot {
		return nil
	}
	name, kind, word := b.WAL.Slot, "", "replication slot"
	if name == "" {
		name, kind, word = temporarySlot(c), " TEMPORARY", "temporary replication slot"
	}
	_, err := wire.Row(c, "CREATE_REPLICATION_SLOT "+identifier(name)+kind+" PHYSICAL RESERVE_WAL", func(protocol.Row) (struct{}, error) {
		return struct{}{}, nil
	})
	if refused, ok := errors.AsType[*protocol.Error](err); ok && refused.Code == codeDuplicateObject && refused.Hint == "" {
		refused.Hint = slotExistsHint(name) // PostgreSQL 13 and 14 cannot be asked before
	}
	if err != nil {
		return fmt.Errorf("could not create replication slot %q: %w", name, err)
	}
	b.stream.slot, b.stream.reserved, b.stream.slotCreated = name, true, b.WAL.CreateSlot
	b.events.tell(LevelVerbose, "created %s %q", word, name)
	return nil
}

// dropSlotTime bounds what a backup that has failed does about its slot.
const dropSlotTime = 10 * time.Second

// dropSlot drops the slot that a backup has created which failed: nobody else would,
// and the server would keep its WAL for it until the disk is full. The stream's
// connection must have ended.
func (b *backup) dropSlot() {
	if b.stream == nil || !b.stream.slotCreated {
		return
	}
	err := b.dropSlotBy(dropSlotTime)
	if err != nil {
		b.events.tell(LevelWarning, "could not drop replication slot %q: %v", b.stream.slot, err)
		return
	}
	b.events.tell(LevelInfo, "dropped replication slot %q", b.stream.slot)
}

func (b *backup) dropSlotBy(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := b.dialer.Another(ctx, ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// The server may need a while to notice that nobody streams any more.
	return c.Command("DROP_REPLICATION_SLOT " + identifier(b.stream.slot) + " WAIT")
}
