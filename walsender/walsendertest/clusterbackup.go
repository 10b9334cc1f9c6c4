package walsendertest

import (
	"context"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// StartBackup begins a backup at the checkpoint, which is done already.
func (c *Cluster) StartBackup(_ context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	if err := c.build(); err != nil {
		return protocol.StartPoint{}, nil, err
	}
	label, err := c.label(r.Label)
	if err != nil {
		return protocol.StartPoint{}, nil, err
	}
	start := protocol.StartPoint{StartPtr: c.sample.checkpointLSN(), Timeline: c.sample.Timeline, Label: label}
	c.running.Add(1)
	return start, &memBackup{cluster: c, label: label, end: sync.OnceFunc(func() { c.running.Add(-1) })}, nil
}

// Backups counts the backups that run: what is neither stopped nor aborted.
func (c *Cluster) Backups() int { return int(c.running.Load()) }

// memBackup is a backup of a Cluster in memory.
type memBackup struct {
	cluster *Cluster
	label   string
	end     func()
}

// Stop ends the backup. What it needs of the WAL is the checkpoint.
func (b *memBackup) Stop(context.Context, bool, protocol.NoticeFunc) (protocol.BackupStop, error) {
	b.end()
	sample := b.cluster.sample
	return protocol.BackupStop{
		StartPtr:     sample.checkpointLSN(),
		Timeline:     sample.Timeline,
		Label:        b.label,
		StopPtr:      sample.endLSN(),
		StopTimeline: sample.Timeline,
	}, nil
}

// Abort ends the backup, if it still runs.
func (b *memBackup) Abort() { b.end() }

// Lost is nil: nobody else ends the backup.
func (b *memBackup) Lost() <-chan *protocol.BackupLostError { return nil }

// label is the backup_label of a backup by its state, empty where there is none.
func (c *Cluster) label(text string) (string, error) {
	from := "standby"
	switch c.sample.State {
	case controlfile.StateShutDown:
		return "", nil
	case controlfile.StateInProduction:
		from = "primary"
	case controlfile.StateShutDownInRecovery, controlfile.StateInArchiveRecovery:
	default:
		return "", protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			`the cluster was not shut down cleanly: its state is "%v"`, c.sample.State)
	}
	return protocol.BackupLabel{
		StartPtr:      c.sample.checkpointLSN(),
		WALFile:       c.sample.segmentName(c.sample.Timeline, 2),
		Checkpoint:    c.sample.checkpointLSN(),
		Method:        "streamed",
		From:          from,
		StartTime:     sampleTime.Format(protocol.BackupLabelTime),
		Label:         text,
		StartTimeline: c.sample.Timeline,
	}.String(), nil
}
