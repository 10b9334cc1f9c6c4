package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/walreader"
)

// readReplicationSlot answers READ_REPLICATION_SLOT (§9.2), which PostgreSQL has from 15 on.
func (s *session) readReplicationSlot(ctx context.Context, c grammar.ReadReplicationSlot) error {
	settings, err := s.replicationSettings(ctx)
	if err != nil {
		return err
	}
	if major(settings) < 15 {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "unrecognized replication command \"READ_REPLICATION_SLOT\"")
	}
	row, err := s.slotRow(ctx, s.slotName(c.Name), major(settings))
	if err != nil {
		return err
	}
	return s.result("READ_REPLICATION_SLOT", protocol.SlotColumns(), row)
}

// slotRow describes the slot of a name, in memory or of the cluster.
func (s *session) slotRow(ctx context.Context, name string, major int) (protocol.Row, error) {
	restart, exists := s.server.slots.RestartLSN(name)
	if !exists {
		kept, err := s.keptSlot(ctx, name)
		switch {
		case err != nil:
			return nil, err
		case kept == nil:
			return protocol.NoSlotRow(), nil
		case kept.Logical:
			return nil, protocol.Errorf(protocol.CodeFeatureNotSupported, "cannot use READ_REPLICATION_SLOT with a logical replication slot")
		}
		restart = kept.RestartLSN
	}
	if restart == 0 {
		return protocol.SlotRow(0, 0, major), nil
	}
	history, err := walreader.ReadHistory(ctx, s.cluster)
	if err != nil {
		return nil, err
	}
	return protocol.SlotRow(restart, history.At(restart), major), nil
}
