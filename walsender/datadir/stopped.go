package datadir

import (
	"context"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// Options say how a stopped cluster is treated.
type Options struct {
	DirOptions

	// Crashed allows backups of a cluster that was not shut down cleanly, on
	// the operator's word that no server runs on it anywhere. The copy starts
	// with crash recovery, as the cluster itself would. A server that is seen to
	// run on the directory, on this machine, is refused all the same;
	// postmaster.pid of another, or of a process that is dead, is stale.
	Crashed bool
}

// Stopped is a cluster whose server does not run: a walsender.Cluster, a WALLister, a
// Historian and a Reopener. Any number of backups may run at once. Nothing is written to
// the data directory.
type Stopped struct {
	*Dir
	options Options
}

// Open opens the data directory of a stopped cluster; the errors are those of
// [OpenDir]. Whether the cluster can be backed up is decided by each
// [Stopped.StartBackup]: the server may be started and stopped again in between. The
// caller closes the cluster.
func Open(dir string, o Options) (*Stopped, error) {
	d, err := OpenDir(dir, o.DirOptions)
	if err != nil {
		return nil, err
	}
	return &Stopped{Dir: d, options: o}, nil
}

// Reopen is the cluster in the directory that the path leads to now, as by [Dir.Reopen]
// (walsender.Reopener).
func (s *Stopped) Reopen(context.Context) (cluster any, release func(), err error) {
	d, release, err := s.Dir.Reopen()
	if err != nil {
		return nil, nil, err
	}
	return &Stopped{Dir: d, options: s.options}, release, nil
}

// Identify tells the system identifier of pg_control, and the timeline and the
// position where the cluster's WAL ends. If the WAL cannot be read, the position
// is that of the last checkpoint, which is known to be flushed.
func (s *Stopped) Identify(ctx context.Context) (protocol.System, error) {
	c, err := s.Control(ctx)
	if err != nil {
		return protocol.System{}, err
	}
	system := protocol.System{SystemID: c.SystemID, Timeline: c.Timeline, XLogPos: c.Checkpoint, Redo: c.Redo}
	if end, err := s.recordEnd(c, c.Checkpoint); err == nil {
		system.XLogPos = end
	}
	if c.State.Standby() && c.MinRecoveryPoint > system.XLogPos {
		system.Timeline, system.XLogPos = c.MinRecoveryTimeline, c.MinRecoveryPoint
	}
	return system, nil
}

// InRecovery reports whether pg_control now tells of a standby.
func (s *Stopped) InRecovery(ctx context.Context) (bool, error) {
	c, err := s.Control(ctx)
	return c.State.Standby(), err
}

// StartBackup begins a backup of the cluster as it lies there; there is no
// checkpoint to wait for. The state in pg_control decides what the backup is
// (§4.1):
//
//   - [controlfile.StateShutDown]: no label. The copy starts without recovery, from the
//     shutdown checkpoint, whose WAL is all it needs.
//   - [controlfile.StateShutDownInRecovery], where the data is consistent: a label of a
//     standby. WAL from the redo position to the minimum recovery point.
//   - any other: 55000, unless [Options.Crashed] allows it. Then there is no
//     label, and no known end of WAL.
//
// While backup_label exists it is 55000 in every state, and so it is while postmaster.pid
// does, unless [Options.Crashed] is set and no server runs on the directory, and where a
// directory is missing ([Dir.CheckDirectories]). WAL that the backup needs and that is not there is 58P01.
func (s *Stopped) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	c, b, err := s.begin(ctx, r.Label)
	if err != nil {
		return protocol.StartPoint{}, nil, err
	}
	c.WarnUnverified(r.Notice)
	return protocol.StartPoint{
		StartPtr: b.stop.StartPtr, Timeline: b.stop.Timeline, Label: b.stop.Label, StopUnknown: b.stop.StopPtr == 0,
	}, b, nil
}

// CheckBackup returns the error that StartBackup would return now.
func (s *Stopped) CheckBackup(ctx context.Context) error {
	_, _, err := s.begin(ctx, "")
	return err
}

// begin is a backup of the cluster as it lies there, and its pg_control.
func (s *Stopped) begin(ctx context.Context, label string) (controlfile.Control, *stoppedBackup, error) {
	c, file, err := s.readControl(ctx, controlfile.Size)
	if err := controlError(ctx, err); err != nil {
		return c, nil, err
	}
	postmaster, err := s.checkStopped(c)
	if err != nil {
		return c, nil, err
	}
	if err := s.CheckPath(); err != nil {
		return c, nil, err
	}
	if err := s.CheckDirectories(); err != nil {
		return c, nil, err
	}
	stop, err := s.plan(ctx, c, label)
	return c, &stoppedBackup{cluster: s, control: file, postmaster: postmaster, stop: stop}, err
}

// checkStopped refuses a cluster that runs or may run. It also refuses one that is itself
// a backup: its backup_label would be left out, and the copy would be corrupt without any
// sign of it. It returns postmaster.pid, which a crash leaves behind.
func (s *Stopped) checkStopped(c controlfile.Control) ([]byte, error) {
	postmaster, err := s.postmaster()
	if err != nil {
		return nil, err
	}
	labelled, err := s.root.Exists("backup_label")
	if err != nil {
		return nil, ioError("stat file", "backup_label", err)
	}
	server := 0
	if s.options.Crashed {
		if server, err = s.runningServer(postmaster); err != nil {
			return nil, err
		}
	}
	refused := func(format string, args ...any) *protocol.Error {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, format, args...)
	}
	switch {
	case labelled:
		return nil, refused("the data directory is a backup that was never started: backup_label exists").
			WithHint("Start the server on it and stop it, then take the backup. With its backup_manifest, and never started, it is served as the backup that it is.")
	case server != 0:
		return nil, refused("the cluster is running: process %d is its server, or one that its server has left", server).
			WithHint("Stop the server, or use --cluster to back up a running one.")
	case s.options.Crashed:
		return postmaster, nil
	case postmaster != nil:
		return nil, refused("the cluster is running, or has crashed: postmaster.pid exists").
			WithHint("Stop the server, or use --cluster to back up a running one. If it has crashed, or this is a snapshot of it, use --crashed when no server runs on this data directory.")
	case c.State == controlfile.StateShutDown, c.ShutDownStandby():
		return nil, nil
	case c.State == controlfile.StateShutDownInRecovery:
		return nil, refused("the cluster was shut down in recovery before its data was consistent").
			WithHint("Start the server, let it finish its recovery or, as a standby, reach a consistent state, and stop it.")
	}
	return nil, refused(`the cluster was not shut down cleanly: its state is "%v"`, c.State).
		WithHint("If its server runs, here or on another host, use --cluster. If it has crashed, start and stop it, or use --crashed when no server runs on this data directory.")
}

// plan decides what the backup's STOP_BACKUP will say, and makes sure that the
// WAL it needs is there.
func (s *Stopped) plan(ctx context.Context, c controlfile.Control, label string) (protocol.BackupStop, error) {
	b := protocol.BackupStop{StartPtr: c.Redo, Timeline: c.Timeline, StopTimeline: c.Timeline}
	end, err := s.recordEnd(c, c.Checkpoint)
	if err != nil {
		return b, err
	}
	switch {
	case c.State == controlfile.StateShutDown:
		b.StopPtr = end
	case c.ShutDownStandby():
		b.StopPtr = end
		if c.MinRecoveryPoint > end {
			b.StopPtr, b.StopTimeline = c.MinRecoveryPoint, c.MinRecoveryTimeline
		}
		b.Label = standbyLabel(c, s.major, label, time.Now())
	}
	if err := s.checkWAL(ctx, b.StartPtr, max(end, c.MinRecoveryPoint)); err != nil {
		return b, err
	}
	return b, s.checkWAL(ctx, b.StartPtr, b.StopPtr)
}

// checkWAL makes sure that there is no gap in the range.
func (s *Stopped) checkWAL(ctx context.Context, start, end protocol.LSN) error {
	_, err := s.walFiles(ctx, start, end)
	return err
}

// standbyLabel is the backup_label of a standby that was shut down: recovery then
// goes to the minimum recovery point of pg_control.
func standbyLabel(c controlfile.Control, major int, label string, now time.Time) string {
	return protocol.BackupLabel{
		StartPtr:      c.Redo,
		WALFile:       protocol.WALFileName(c.Timeline, c.Redo, int64(c.WALSegmentSize)),
		Checkpoint:    c.Checkpoint,
		Method:        "streamed",
		From:          "standby",
		StartTime:     now.UTC().Format(protocol.BackupLabelTime),
		Label:         label,
		StartTimeline: c.Timeline,
		Major:         major,
	}.String()
}
