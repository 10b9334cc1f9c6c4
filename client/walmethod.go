package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// codeDuplicateObject is PostgreSQL's duplicate_object.
const codeDuplicateObject = "42710"

// chooseWAL decides between WALStream and WALFetch by what the server says about its
// WAL (§1.5): nothing is tried that could fail.
func (b *backup) chooseWAL(context.Context) error {
	if b.WAL == WALNone {
		return nil
	}
	access := b.walAccess()
	streams := access == protocol.WALStreamed
	switch {
	case b.WAL != WALFetch && streams:
		b.WAL = WALStream
		return b.checkGivenSlot()
	case b.Slot != "":
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "could not use replication slot %q: server does not stream write-ahead log", b.Slot).
			WithHint("%s", withoutStream(access))
	case b.WAL == WALStream:
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "server does not stream write-ahead log").
			WithHint("%s", withoutStream(access))
	case access == protocol.WALTransient:
		b.events.tell(LevelWarning, "write-ahead log is fetched at the end of the backup, and nothing but wal_keep_size keeps it until then: server does not stream it")
	case b.WAL == WALDefault:
		b.events.tell(LevelVerbose, "write-ahead log is fetched at the end of the backup: server does not stream it")
	}
	b.WAL = WALFetch
	return nil
}

// walAccess is what the server says of its WAL.
func (b *backup) walAccess() protocol.WALAccess {
	return protocol.WALAccess(b.leader.Parameters[protocol.ParameterWAL])
}

// withoutStream is what there is to do about a server that does not stream.
func withoutStream(access protocol.WALAccess) string {
	if access == protocol.WALTransient {
		return "Give \"pgparallel serve\" a role with REPLICATION by --passthrough, or have the write-ahead log fetched."
	}
	return "A stopped cluster has neither a stream nor replication slots: leave them out, and the write-ahead log is fetched."
}

// checkGivenSlot makes sure of a slot that was named, before anything is done: it exists,
// unless it is to be created. Before PostgreSQL 15 there is no command that asks.
func (b *backup) checkGivenSlot() error {
	if b.Slot == "" || b.cluster.versionNum < 150000 {
		return nil
	}
	kind, err := wire.Row(b.leader, "READ_REPLICATION_SLOT "+identifier(b.Slot), func(r protocol.Row) (string, error) {
		if len(r) == 0 {
			return "", errors.New("result has no columns")
		}
		return string(r[0]), nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("could not look for replication slot %q: %w", b.Slot, err)
	case kind == "" && !b.CreateSlot:
		return protocol.Errorf(protocol.CodeUndefinedObject, "replication slot %q does not exist", b.Slot)
	case kind != "" && b.CreateSlot:
		return protocol.Errorf(codeDuplicateObject, "replication slot %q already exists", b.Slot)
	}
	return nil
}
