package walsendertest

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// StartBackup begins a backup at the checkpoint, which is done already.
func (c *Cluster) StartBackup(_ context.Context, r protocol.BackupRequest) (protocol.BackupStart, error) {
	if err := c.build(); err != nil {
		return protocol.BackupStart{}, err
	}
	label, err := c.label(r.Label)
	if err != nil {
		return protocol.BackupStart{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backups[r.ID] = label
	return protocol.BackupStart{StartPtr: c.sample.checkpointLSN(), Timeline: c.sample.Timeline, Label: label, ID: r.ID}, nil
}

// label is the backup_label of a backup by its state, empty where there is none.
func (c *Cluster) label(text string) (string, error) {
	from := "standby"
	switch c.sample.State {
	case datadir.StateShutDown:
		return "", nil
	case datadir.StateInProduction:
		from = "primary"
	case datadir.StateShutDownInRecovery, datadir.StateInArchiveRecovery:
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

// StopBackup ends the backup. What it needs of the WAL is the checkpoint.
func (c *Cluster) StopBackup(_ context.Context, id string, _ bool, _ protocol.NoticeFunc) (protocol.BackupStop, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	label, running := c.backups[id]
	delete(c.backups, id)
	if !running {
		return protocol.BackupStop{}, protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			`backup "%s" is not in progress`, protocol.ShortID(id))
	}
	return protocol.BackupStop{
		StartPtr:     c.sample.checkpointLSN(),
		Timeline:     c.sample.Timeline,
		Label:        label,
		StopPtr:      c.sample.endLSN(),
		StopTimeline: c.sample.Timeline,
	}, nil
}

// AbortBackup ends the backup, if it still runs.
func (c *Cluster) AbortBackup(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.backups, id)
}

// Backups counts the backups that run: what is neither stopped nor aborted.
func (c *Cluster) Backups() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.backups)
}
