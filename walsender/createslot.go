package walsender

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/slots"
)

// createReplicationSlot answers CREATE_REPLICATION_SLOT (§9.2): a temporary slot is made,
// in memory.
func (s *session) createReplicationSlot(ctx context.Context, c grammar.CreateReplicationSlot) error {
	settings, err := s.replicationSettings(ctx)
	if err != nil {
		return err
	}
	if c.Parenthesized && major(settings) < 15 {
		return protocol.Errorf(protocol.CodeSyntaxError, "syntax error at or near \"(\"")
	}
	c.Name = s.slotName(c.Name)
	if err := slots.CheckName(c.Name); err != nil {
		return err
	}
	if !c.Temporary {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "cannot create a permanent replication slot in a cluster that does not run").
			WithHint("Nothing removes the write-ahead log of this cluster: do without a slot, use a temporary one, or create it once PostgreSQL runs.")
	}
	kept, err := s.keptSlot(ctx, c.Name)
	if err != nil {
		return err
	}
	if kept != nil {
		return slots.AlreadyExists(c.Name)
	}
	var restart protocol.LSN
	if c.ReserveWAL {
		system, err := s.cluster.Identify(ctx)
		if err != nil {
			return err
		}
		restart = cmp.Or(system.Redo, system.XLogPos)
	}
	if err := s.server.slots.Create(c.Name, s.key.processID, restart); err != nil {
		return err
	}
	return s.result("CREATE_REPLICATION_SLOT", protocol.CreatedSlotColumns(), protocol.CreatedSlotRow(c.Name, major(settings)))
}

// slotName is a name as PostgreSQL takes it, whose scanner cuts each identifier (truncate_identifier
// in scansup.c): at a byte, for a walsender without a database knows no encoding.
func (s *session) slotName(name string) string {
	if len(name) <= slots.MaxName {
		return name
	}
	cut := name[:slots.MaxName]
	notice := protocol.Errorf(protocol.CodeNameTooLong, "identifier \"%s\" will be truncated to \"%s\"", name, cut)
	notice.Severity = protocol.SeverityNotice
	s.notice(notice)
	return cut
}

// keptSlot is the slot of a name that the cluster has, nil where it has none.
func (s *session) keptSlot(ctx context.Context, name string) (*protocol.ReplicationSlot, error) {
	reader, has := s.cluster.(SlotReader)
	if !has || slots.CheckName(name) != nil { // it must not lead out of the directory of slots
		return nil, nil
	}
	kept, err := reader.ReplicationSlot(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &kept, nil
}
