package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

func (b *backup) stopBackup(ctx context.Context) error {
	command := grammar.StopBackup{NoWait: b.WAL.Method != WALNone}
	rows := 0
	defer b.leader.AllowSilence()()
	err := b.whileInUse(ctx, func() error {
		return b.leader.Rows(command.String(), func(row protocol.Row) (err error) {
			rows++
			b.stopped, err = protocol.DecodeBackupStop(row)
			return err
		})
	})
	// The server reports bad pages after the row. The backup is complete then, and
	// the pages are as bad as in the cluster.
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Code == protocol.CodeDataCorrupted && rows == 1 {
		b.badPages, err = e, nil
	}
	if err == nil && rows != 1 {
		err = fmt.Errorf("server returned %d rows, expected 1", rows)
	}
	if err != nil {
		return fmt.Errorf("could not stop backup: %w", err)
	}
	if b.stopped.StopPtr != 0 {
		b.events.tell(LevelVerbose, "write-ahead log end point: %v", b.stopped.StopPtr)
		if b.stopped.StopPtr < b.stopped.StartPtr {
			return fmt.Errorf("backup ends at %v, before its start at %v", b.stopped.StopPtr, b.stopped.StartPtr)
		}
	} else if b.stream != nil {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "server does not say where the backup ends, so its write-ahead log cannot be streamed").
			WithHint("Have the write-ahead log fetched.")
	}
	if err := b.checkLabel(); err != nil {
		return err
	}
	return b.excuses.judge(b.replayed(), b.events.tell)
}

// replayed reports whether recovery makes up for what happened to the files while they
// were copied: the backup has a label, and a server ran. Of a standby that is stopped the
// copy recovers, too, but only to where the standby had come before.
func (b *backup) replayed() bool {
	stopped := b.walAccess() == protocol.WALKept && b.leader.Parameters["in_hot_standby"] == "on"
	return b.stopped.Label != "" && !stopped
}

// checkLabel makes sure that a server will be able to start from the label, and that
// it is of this backup.
func (b *backup) checkLabel() error {
	if b.stopped.StartPtr != b.started.StartPtr {
		return fmt.Errorf("backup that started at %v was stopped as one that started at %v", b.started.StartPtr, b.stopped.StartPtr)
	}
	if b.stopped.Label == "" {
		return nil
	}
	label, err := protocol.ParseBackupLabel(b.stopped.Label)
	if err != nil {
		return fmt.Errorf("server sent a backup label that is of no use: %w", err)
	}
	if label.StartPtr != b.stopped.StartPtr || label.StartTimeline != 0 && label.StartTimeline != b.stopped.Timeline {
		return fmt.Errorf("backup label is of another backup: it starts at %v on timeline %d, not at %v on timeline %d",
			label.StartPtr, label.StartTimeline, b.stopped.StartPtr, b.stopped.Timeline)
	}
	return nil
}

// checkTablespaces makes sure that none was created while the backup ran.
func (b *backup) checkTablespaces(context.Context) error {
	now, err := b.askTablespaces()
	if err != nil {
		return err
	}
	return b.checkNoneNew(now)
}

// checkNoneNew fails where a tablespace exists that was not there before the
// backup: WAL replay would create its link in the copy, pointing at the source's
// own directory, and change what is there (§5.8).
func (b *backup) checkNoneNew(now []protocol.Tablespace) error {
	for _, t := range now {
		known := slices.ContainsFunc(b.tablespaces, func(old protocol.Tablespace) bool {
			return old.OID == t.OID && old.Location == t.Location
		})
		if !known && !t.InPlace() {
			return createdMeanwhile(t.OID, t.Location)
		}
	}
	return nil
}
