package walsendertest

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// layer is a cluster under a fault that changes a part of it. What the cluster is able
// to do besides, it is still able to.
type layer struct {
	walsender.Cluster
}

// WALFiles lists the cluster's WAL, or is 0A000 as a server without is.
func (l layer) WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	if lister, ok := l.Cluster.(walsender.WALLister); ok {
		return lister.WALFiles(ctx, start, end)
	}
	return func(yield func(protocol.File, error) bool) {
		yield(protocol.File{}, protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no write-ahead log to list"))
	}
}

// TimelineHistory is the cluster's, or 0A000.
func (l layer) TimelineHistory(ctx context.Context, tli protocol.Timeline) (protocol.HistoryFile, error) {
	if historian, ok := l.Cluster.(walsender.Historian); ok {
		return historian.TimelineHistory(ctx, tli)
	}
	return protocol.HistoryFile{}, protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no timeline history")
}

// ReplicationSlot is the cluster's, if it has slots.
func (l layer) ReplicationSlot(ctx context.Context, name string) (protocol.ReplicationSlot, error) {
	if reader, ok := l.Cluster.(walsender.SlotReader); ok {
		return reader.ReplicationSlot(ctx, name)
	}
	return protocol.ReplicationSlot{}, fs.ErrNotExist
}

// DialWALSender is the cluster's, or errors.ErrUnsupported.
func (l layer) DialWALSender(ctx context.Context, parameters map[string]string) (*walsender.WALSenderConn, error) {
	if through, ok := l.Cluster.(walsender.PassThrough); ok {
		return through.DialWALSender(ctx, parameters)
	}
	return nil, errors.ErrUnsupported
}

// WALAccess is the cluster's, or that of one that does not run.
func (l layer) WALAccess() protocol.WALAccess {
	if running, ok := l.Cluster.(walsender.RunningCluster); ok {
		return running.WALAccess()
	}
	return protocol.WALKept
}

// PrimaryConnInfo is the cluster's, if it runs.
func (l layer) PrimaryConnInfo() string {
	if running, ok := l.Cluster.(walsender.RunningCluster); ok {
		return running.PrimaryConnInfo()
	}
	return ""
}

// stopping is a running backup with a Stop that a fault puts in place of its own.
type stopping struct {
	protocol.RunningBackup
	stop func(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error)
}

// Stop is the fault's.
func (s stopping) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	return s.stop(ctx, wait, notice)
}
