package walsender

import (
	"cmp"
	"context"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
	"github.com/pgparallel/pgparallel/walsender/internal/slots"
	"github.com/pgparallel/pgparallel/walsender/internal/walreader"
	"github.com/pgparallel/pgparallel/walsender/internal/walstream"
)

// startReplication answers START_REPLICATION (§9.2), as StartReplication of PostgreSQL's
// walsender.c does.
func (s *session) startReplication(ctx context.Context, c grammar.StartReplication) error {
	settings, err := s.replicationSettings(ctx)
	if err != nil {
		return err
	}
	var slot *slots.Slot
	if c.Slot != "" {
		if slot, err = s.useSlot(ctx, s.slotName(c.Slot)); err != nil {
			return err
		}
		defer slot.Release()
	}
	reader := walreader.New(s.cluster, settings.WALSegmentSize, major(settings))
	defer reader.Close()
	w := walstream.New(s.walClient(), major(settings), c.Timeline, c.Start, slot, reader)
	if err := w.Aim(ctx); err != nil {
		return err
	}
	s.log.Debug("replication started", zap.Stringer("start", c.Start), zap.Uint32("timeline", uint32(w.Timeline)))
	if err := w.Copy(ctx); err != nil {
		return err
	}
	if w.Historic {
		row := protocol.NextTimelineRow(w.Next, w.End, major(settings))
		if err := s.rows(protocol.NextTimelineColumns(), row); err != nil {
			return err
		}
	}
	if err := s.complete("START_STREAMING"); err != nil {
		return err
	}
	return s.complete("START_REPLICATION")
}

// walClient is the session as a stream of WAL has it.
func (s *session) walClient() walstream.Client {
	return walstream.Client{
		In: s.in, Send: s.out.send, Out: s.out, Flush: s.out.flush, Rest: s.out.rest,
		Timeout: cmp.Or(s.server.SenderTimeout, DefaultSenderTimeout),
		Check: func(ctx context.Context) error {
			if checker, ok := s.cluster.(BackupChecker); ok {
				return checker.CheckBackup(ctx)
			}
			return nil
		},
	}
}

// replicationSettings are the cluster's, for the commands of §9.2; 0A000 where they are not
// served: a cluster that runs has a walsender of its own.
func (s *session) replicationSettings(ctx context.Context) (protocol.Settings, error) {
	if running, ok := s.cluster.(RunningCluster); ok && running.WALAccess() != protocol.WALKept {
		return protocol.Settings{}, protocol.Errorf(protocol.CodeFeatureNotSupported,
			"PostgreSQL's replication commands are not passed through to the running cluster")
	}
	if _, has := s.cluster.(WALLister); !has {
		return protocol.Settings{}, protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no write-ahead log to stream")
	}
	settings, err := s.cluster.Settings(ctx)
	if err == nil {
		err = impossible.Settings(settings)
	}
	return settings, err
}

func major(s protocol.Settings) int { return s.ServerVersionNum / 10000 }

// useSlot gives the session the slot of a name, in memory or of the cluster.
func (s *session) useSlot(ctx context.Context, name string) (*slots.Slot, error) {
	kept, err := s.keptSlot(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case kept == nil:
	case kept.Logical:
		return nil, protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "cannot use a logical replication slot for physical replication")
	case kept.Invalidated:
		return nil, protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "can no longer access replication slot \"%s\"", kept.Name)
	}
	return s.server.slots.Use(name, s.key.processID, kept)
}
