package walsender

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
	"github.com/pgparallel/pgparallel/walsender/internal/slots"
	"github.com/pgparallel/pgparallel/walsender/internal/walreader"
)

// startReplication answers START_REPLICATION (§9.2), as StartReplication of PostgreSQL's
// walsender.c does.
func (s *session) startReplication(ctx context.Context, c grammar.StartReplication) error {
	settings, err := s.replicationSettings(ctx)
	if err != nil {
		return err
	}
	w := &walStream{session: s, major: major(settings), timeline: c.Timeline, sent: c.Start}
	if c.Slot != "" {
		if w.slot, err = s.useSlot(ctx, c.Slot); err != nil {
			return err
		}
		defer w.slot.Release()
	}
	w.reader = walreader.New(s.cluster, settings.WALSegmentSize, w.major)
	defer w.reader.Close()
	if err := w.aim(ctx); err != nil {
		return err
	}
	s.log.Debug("replication started", zap.Stringer("start", c.Start), zap.Uint32("timeline", uint32(w.timeline)))
	if err := w.copy(ctx); err != nil {
		return err
	}
	if w.historic {
		row := protocol.NextTimelineRow(w.next, w.end, w.major)
		if err := s.rows(protocol.NextTimelineColumns(), row); err != nil {
			return err
		}
	}
	if err := s.complete("START_STREAMING"); err != nil {
		return err
	}
	return s.complete("START_REPLICATION")
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
		err = impossible("Settings", checkSettings(settings))
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

// aim finds out how far there is something to send: to where the cluster's WAL ends, or
// where the timeline that was asked for was left.
func (w *walStream) aim(ctx context.Context) error {
	s := w.session
	if checker, ok := s.cluster.(BackupChecker); ok {
		if err := checker.CheckBackup(ctx); err != nil {
			return err
		}
	}
	last, err := w.reader.End(ctx, w.last)
	if err != nil {
		return err
	}
	w.last = last
	if w.timeline == 0 {
		w.timeline = last.History.Timeline
	}
	w.end, w.next, w.historic = last.LSN, w.timeline, false
	if w.timeline == last.History.Timeline {
		return nil
	}
	if w.end, w.next, w.historic = last.History.Left(w.timeline); !w.historic {
		return protocol.Errorf(protocol.CodeInternalError, "requested timeline %d is not in this server's history", w.timeline)
	}
	if w.end < w.sent {
		err := protocol.Errorf(protocol.CodeInternalError, "requested starting point %s on timeline %d is not in this server's history",
			w.sent.Text(w.major), w.timeline)
		err.Detail = fmt.Sprintf("This server's history forked from timeline %d at %s.", w.timeline, w.end.Text(w.major))
		return err
	}
	return nil
}

// copy sends the WAL in a COPY of both directions. Where an older timeline ends before the
// first byte there is none.
func (w *walStream) copy(ctx context.Context) error {
	if w.historic && w.sent >= w.end {
		return nil
	}
	if err := w.session.out.send(&pgproto3.CopyBothResponse{}); err != nil {
		return err
	}
	if w.end < w.sent {
		return protocol.Errorf(protocol.CodeInternalError, "requested starting point %s is ahead of the WAL flush position of this server %s",
			w.sent.Text(w.major), w.end.Text(w.major))
	}
	return w.run(ctx)
}

// errSenderTimeout ends a session whose peer has not answered for wal_sender_timeout. As
// from PostgreSQL, the peer is told nothing.
var errSenderTimeout = errors.Join(peer.ErrGone, errors.New("terminating walsender process due to replication timeout"))
