package livecluster

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// Stop ends backup mode. With wait, it waits for the archiving of the WAL where the
// server archives, and passes on what PostgreSQL has to say meanwhile.
func (b *backup) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	c := b.cluster
	if !c.remove(b) {
		return protocol.BackupStop{}, errClosed()
	}
	defer b.end()
	if lost := b.endWatch(); lost != nil {
		return protocol.BackupStop{}, lost
	}
	b.session.notice = notice
	row, err := b.session.row(ctx, b.dialect.stopSQL(wait))
	if err != nil {
		return protocol.BackupStop{}, c.answer(ctx, err)
	}
	if err := c.CheckPath(); err != nil {
		return protocol.BackupStop{}, err
	}
	if err := c.warnOfTablespaces(b.tablespaces, notice); err != nil {
		return protocol.BackupStop{}, err
	}
	stop, err := c.stopped(ctx, row)
	return stop, c.answer(ctx, err)
}

// warnOfTablespaces tells that a tablespace came and went while the backup ran: no list
// shows it, but the WAL has it.
func (c *Cluster) warnOfTablespaces(since datadir.TablespaceMark, notice protocol.NoticeFunc) error {
	passed, err := c.TablespacePassed(since)
	if err == nil && passed {
		notice(protocol.Warningf("a tablespace was created and dropped during the backup").
			WithHint("WAL replay makes its directory again, and removes it. Where the copy is to start on this host, and something else is in that place by then, take another backup."))
	}
	return err
}

// stopped understands the row of pg_backup_stop.
func (c *Cluster) stopped(ctx context.Context, row []string) (protocol.BackupStop, error) {
	var stop protocol.BackupStop
	end, err := protocol.ParseLSN(row[0])
	if err != nil {
		return stop, err
	}
	label, err := protocol.ParseBackupLabel(row[1])
	if err != nil {
		return stop, err
	}
	stop = protocol.BackupStop{StartPtr: label.StartPtr, Timeline: label.StartTimeline, Label: row[1], StopPtr: end}
	// The WAL that is needed ends before stopptr.
	stop.StopTimeline, err = c.TimelineAt(ctx, max(end, 1)-1)
	return stop, err
}
