package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// checkSlot says which options of a replication slot do not go together.
func (o Options) checkSlot() error {
	switch {
	case o.NoSlot && o.CreateSlot:
		return errors.New("a slot cannot be created and not be used")
	case o.NoSlot && o.Slot != "":
		return errors.New("a slot cannot be named and not be used")
	case o.CreateSlot && o.Slot == "":
		return errors.New("no slot to be created is named")
	case (o.Slot != "" || o.NoSlot) && (o.WAL == WALNone || o.WAL == WALFetch):
		return errors.New("replication slots can only be used with WAL streaming")
	}
	return nil
}

// chooseWAL decides between WALStream and WALFetch: streaming takes a server that
// hands the commands of replication on. One that does not answers each of them with
// 0A000.
func (b *backup) chooseWAL(context.Context) error {
	if b.WAL != WALDefault && b.WAL != WALStream {
		return nil
	}
	err := b.askForSlot()
	if !isUnsupported(err) {
		b.WAL = WALStream
		return err
	}
	if b.Slot != "" {
		return noSlots(b.Slot, err)
	}
	level := LevelVerbose
	if b.WAL == WALStream {
		level = LevelInfo
	}
	b.WAL = WALFetch
	b.events.tell(level, "server does not stream write-ahead log: it is fetched at the end of the backup")
	return nil
}

// noSlots is for those who named a slot to a server that has none.
func noSlots(slot string, err error) error {
	e := protocol.Errorf(protocol.CodeFeatureNotSupported, "could not use replication slot %q: server does not stream write-ahead log from it", slot).
		WithHint("A stopped cluster has no replication slots: leave it out, and the write-ahead log is fetched.")
	var refused *protocol.Error
	if errors.As(err, &refused) {
		e.Detail = "The server says: " + refused.Message
	}
	return e
}

// askForSlot asks about the slot, which must exist if it was named and is not to be
// created. Nothing changes on the server.
func (b *backup) askForSlot() error {
	if b.cluster.versionNum < 150000 {
		// There is no command that only asks. This one changes nothing either:
		// nobody has a slot of that name.
		err := b.leader.command("DROP_REPLICATION_SLOT " + identifier(temporarySlot(b.leader)+"_probe"))
		if isGone(err) {
			return nil
		}
		return err
	}
	name := b.Slot
	if name == "" {
		name = temporarySlot(b.leader)
	}
	kind, err := row(b.leader, "READ_REPLICATION_SLOT "+identifier(name), func(r protocol.Row) (string, error) {
		if len(r) == 0 {
			return "", errors.New("result has no columns")
		}
		return string(r[0]), nil
	})
	if err != nil {
		return err
	}
	if b.Slot != "" && !b.CreateSlot && kind == "" {
		return protocol.Errorf(protocol.CodeUndefinedObject, "replication slot %q does not exist", b.Slot)
	}
	return nil
}

func isUnsupported(err error) bool {
	var e *protocol.Error
	return errors.As(err, &e) && e.Code == protocol.CodeFeatureNotSupported
}

// temporarySlot is the name of a slot that lives as long as the connection.
func temporarySlot(c *conn) string { return fmt.Sprintf("pgparallel_%d", c.pid) }

// identifier quotes a name for a command of replication.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// openStream opens the connection that the WAL comes over, with the slot that makes
// the server keep it: before START_BACKUP, so that nothing of the backup's is lost.
func (b *backup) openStream(ctx context.Context) error {
	if b.WAL != WALStream {
		return nil
	}
	c, err := b.dialer.worker(ctx, ctx)
	if err != nil {
		return err
	}
	b.stream = &walStream{
		conn: c, slot: b.Slot, segmentSize: b.cluster.segmentSize, interval: b.StatusInterval,
		sync: !b.NoSync, checksums: b.ManifestChecksums, done: make(chan struct{}),
	}
	system, err := row(c, "IDENTIFY_SYSTEM", protocol.DecodeSystem)
	if err != nil {
		return fmt.Errorf("could not identify system: %w", err)
	}
	if system.SystemID != b.cluster.system.SystemID {
		return fmt.Errorf("the WAL comes from another system: its identifier is %d, not %d", system.SystemID, b.cluster.system.SystemID)
	}
	return b.createSlot(c)
}

func (b *backup) createSlot(c *conn) error {
	if b.NoSlot || b.Slot != "" && !b.CreateSlot {
		return nil
	}
	name, kind, word := b.Slot, "", "replication slot"
	if name == "" {
		name, kind, word = temporarySlot(c), " TEMPORARY", "temporary replication slot"
	}
	_, err := row(c, "CREATE_REPLICATION_SLOT "+identifier(name)+kind+" PHYSICAL RESERVE_WAL", func(protocol.Row) (struct{}, error) {
		return struct{}{}, nil
	})
	if err != nil {
		return fmt.Errorf("could not create replication slot %q: %w", name, err)
	}
	b.stream.slot, b.stream.slotCreated = name, b.CreateSlot
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
	c, err := b.dialer.worker(ctx, ctx)
	if err != nil {
		return err
	}
	defer c.close()
	// The server may need a while to notice that nobody streams any more.
	return c.command("DROP_REPLICATION_SLOT " + identifier(b.stream.slot) + " WAIT")
}
