package livecluster

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// StartBackup puts the server into backup mode, in a session of its own, which waits
// for the checkpoint. 08006 is the answer where there is no connection, 55000 where
// the server is not the data directory's; whatever PostgreSQL says is passed on.
func (c *Cluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	s, found, err := c.connect(ctx)
	if err != nil {
		return protocol.StartPoint{}, nil, c.answer(ctx, err)
	}
	b := &backup{cluster: c, session: s, dialect: dialectOf(found.versionNum)}
	start, err := c.start(ctx, b, r, found)
	if err == nil {
		b.watch()
		err = c.add(b)
	}
	if err != nil {
		b.end()
		return protocol.StartPoint{}, nil, c.answer(ctx, err)
	}
	return start, b, nil
}

// start waits for the checkpoint, and finds out what it is called.
func (c *Cluster) start(ctx context.Context, b *backup, r protocol.BackupRequest, found server) (protocol.StartPoint, error) {
	b.session.notice = r.Notice
	defer func() { b.session.notice = func(*protocol.Error) {} }()
	if err := c.CheckPath(); err != nil {
		return protocol.StartPoint{}, err
	}
	if err := c.CheckDirectories(); err != nil {
		return protocol.StartPoint{}, err
	}
	var err error
	if b.tablespaces, err = c.MarkTablespaces(); err != nil {
		return protocol.StartPoint{}, err
	}
	row, err := b.session.row(ctx, b.dialect.startSQL(r.Label, r.Fast))
	if err != nil {
		return protocol.StartPoint{}, err
	}
	var start protocol.StartPoint
	if start.StartPtr, err = protocol.ParseLSN(row[0]); err != nil {
		return start, err
	}
	control, err := c.Control(ctx)
	if err != nil {
		return start, err
	}
	if control.Redo < start.StartPtr {
		return start, protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			"the server is not the one that runs on the data directory: pg_control there does not know the checkpoint at %v", start.StartPtr)
	}
	control.WarnUnverified(r.Notice)
	if inRecovery, err := c.InRecovery(ctx); err != nil {
		return start, err
	} else if found.inRecovery && !inRecovery {
		return start, walsender.StandbyPromoted()
	}
	if start.Timeline, err = c.TimelineAt(ctx, start.StartPtr); err != nil {
		return start, err
	}
	return start, c.checkWAL(ctx, b.session, start.StartPtr, found)
}

// checkWAL makes sure that the WAL which there is from the start on has no gap: on a
// standby the checkpoint that the backup begins with may be hours old. 58P01 now is
// better than at the end.
func (c *Cluster) checkWAL(ctx context.Context, s *sqlSession, start protocol.LSN, found server) error {
	end, err := s.flushed(ctx, found)
	if err != nil || end <= start {
		return err
	}
	for _, err := range c.WALFiles(ctx, start, end) {
		return err // a gap is told before the first row
	}
	return nil
}
