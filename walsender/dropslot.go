package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// dropReplicationSlot answers DROP_REPLICATION_SLOT (§9.2).
func (s *session) dropReplicationSlot(ctx context.Context, c grammar.DropReplicationSlot) error {
	if _, err := s.replicationSettings(ctx); err != nil {
		return err
	}
	c.Name = s.slotName(c.Name)
	kept, err := s.keptSlot(ctx, c.Name)
	if err != nil {
		return err
	}
	if kept != nil {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "cannot drop replication slot \"%s\" of a cluster that does not run", kept.Name).
			WithHint("Drop it once PostgreSQL runs.")
	}
	if err := s.server.slots.Drop(ctx, c.Name, s.key.processID, c.Wait); err != nil {
		return err
	}
	return s.complete("DROP_REPLICATION_SLOT")
}

// dropSlots drops the temporary slots of the session: at its end and, as PostgreSQL does,
// with each command that fails.
func (s *session) dropSlots() { s.server.slots.DropOwned(s.key.processID) }
