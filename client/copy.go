package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

func (b *backup) startBackup(context.Context) error {
	command := grammar.StartBackup{Label: b.Label, Fast: b.FastCheckpoint, MaxRate: b.MaxRate}
	b.events.tell(LevelVerbose, "initiating base backup, waiting for checkpoint to complete")
	var err error
	if b.started, err = wire.Row(b.leader, command.String(), protocol.DecodeBackupStart); err != nil {
		return fmt.Errorf("could not initiate base backup: %w", err)
	}
	b.events.tell(LevelVerbose, "checkpoint completed")
	b.events.tell(LevelVerbose, "write-ahead log start point: %v on timeline %d", b.started.StartPtr, b.started.Timeline)
	return nil
}

func (b *backup) join(c *wire.Conn) error {
	if err := c.Command(grammar.JoinBackup{ID: b.started.ID}.String()); err != nil {
		return fmt.Errorf("could not join backup: %w", err)
	}
	return nil
}

// listFiles makes the plan.
func (b *backup) listFiles(context.Context) error {
	now, err := b.askTablespaces(grammar.ListTablespaces{})
	if err != nil {
		return err
	}
	if err := b.checkNoneNew(now); err != nil {
		return err
	}
	p := newListingChecker(b.cluster.versionNum, now)
	if err := b.listInto(p, protocol.Tablespace{}); err != nil {
		return fmt.Errorf("could not list files of the data directory: %w", err)
	}
	for _, t := range now {
		err := b.listInto(p, t)
		if isGone(err) {
			b.excuses.add(protocol.PathState, fmt.Sprintf("tablespace %d has been dropped", t.OID))
			continue
		}
		if err != nil {
			return fmt.Errorf("could not list files of tablespace %d: %w", t.OID, err)
		}
	}
	if b.listing, err = p.finish(); err != nil {
		return err
	}
	b.progress.totalBytes.Store(b.listing.Bytes)
	b.progress.totalFiles.Store(int64(b.listing.Files.Len()) + 1)
	b.warnOfForeign()
	return b.out.Check(b.listing, b.cluster.segmentSize)
}

func (b *backup) listInto(p *listingChecker, t protocol.Tablespace) error {
	command := grammar.ListFiles{Tablespace: t.Location}
	return b.leader.Rows(command.String(), func(row protocol.Row) error {
		f, err := protocol.DecodeFile(row)
		if err != nil {
			return err
		}
		return p.add(t.OID, f)
	})
}

// isGone reports whether the server says that a tablespace does not exist.
func isGone(err error) bool {
	var e *protocol.Error
	return errors.As(err, &e) && e.Code == protocol.CodeUndefinedObject
}

func (b *backup) createDirectories(context.Context) error { return b.out.LayOut(b.listing) }

// newReceiver is what a connection needs to write files.
func (b *backup) newReceiver() receiver {
	r := receiver{sink: b.out.Sink(), progress: &b.progress}
	if !b.Manifest.Omit {
		r.sum = b.Manifest.Checksums.New()
	}
	return r
}

func (b *backup) copyFiles(ctx context.Context) error {
	copying, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &transfer{
		files:      &b.listing.Files,
		queue:      newQueue(b.listing.Files.Sorted(output.LargestFirst)),
		jobs:       b.Jobs,
		minJobs:    b.MinJobs,
		tell:       b.events.tell,
		unverified: b.NoVerifyChecksums,
		received:   b.fileReceived,
		reconnect:  func(attempt context.Context) (*wire.Conn, error) { return b.rejoin(attempt, ctx) },
	}
	for _, w := range b.workers {
		w.receiver = b.newReceiver()
	}
	// The leader is idle while the workers copy. The server aborts the backup when
	// the leader's connection is lost.
	leader := b.guardLeader(cancel)
	err := t.copyAll(copying, b.workers)
	if isAborted(err) {
		// The server aborts a backup whose leader is lost: it is that loss
		// that is to be told, if it is known soon.
		select {
		case <-leader.done:
		case <-time.After(time.Second):
		}
	}
	if lost := leader.stop(); lost != nil {
		return lost
	}
	return err
}

func (b *backup) fileReceived(f *output.File, listed int64, refused *protocol.Error) error {
	if err := b.excuses.file(f, listed, refused); err != nil {
		return err
	}
	if f.Gone {
		b.progress.totalFiles.Add(-1)
		b.progress.totalBytes.Add(-listed)
		return nil
	}
	b.progress.files.Add(1)
	b.progress.totalBytes.Add(f.Size - listed)
	f.Size = b.out.FinalSize(f, listed)
	return nil
}

// rejoin opens a connection that may send files of the backup.
func (b *backup) rejoin(ctx, life context.Context) (*wire.Conn, error) {
	c, err := b.redial(ctx, life)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, c.Abort)()
	if err := b.join(c); err != nil {
		c.Abort()
		return nil, err
	}
	return c, nil
}

// redial opens a connection in the place of one that was lost, which for the server
// may still have its place.
func (b *backup) redial(ctx, life context.Context) (c *wire.Conn, err error) {
	err = whileRefused(ctx, protocol.CodeTooManyConnections, redialFor, func() error {
		c, err = b.dialer.Another(ctx, life)
		return err
	})
	return c, err
}

// How long the server is given to notice that a connection is lost: to have its place
// again, and to have STOP_BACKUP answered, for which it may still be sending.
const (
	redialFor = 30 * time.Second
	inUseFor  = 2 * time.Minute
)

// whileInUse repeats a command for as long as the server says that a file is being
// sent, which can only be over a connection that is lost.
func (b *backup) whileInUse(ctx context.Context, command func() error) error {
	return whileRefused(ctx, protocol.CodeObjectInUse, inUseFor, command)
}

// whileRefused repeats a command as long as the server refuses it with the SQLSTATE,
// but not longer than patience.
func whileRefused(ctx context.Context, code string, patience time.Duration, command func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := command()
		var e *protocol.Error
		if !errors.As(err, &e) || e.Code != code || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// copyControlFile comes when every other file has been answered: on a standby the
// control file says where the backup is consistent (§4.8).
func (b *backup) copyControlFile(ctx context.Context) error {
	f := &b.listing.Control
	listed := f.Size
	r := b.newReceiver()
	defer r.sink.Close()
	command := grammar.SendFile{Path: f.Path, NoVerifyChecksums: b.NoVerifyChecksums}
	err := b.whileInUse(ctx, func() error {
		if err := b.leader.Ask(command.String()); err != nil {
			return err
		}
		if err := b.leader.Flush(); err != nil {
			return err
		}
		return r.receive(b.leader, f, output.ControlFileHeld)
	})
	if err != nil {
		return notReceived(f.Path, err)
	}
	return b.fileReceived(f, listed, nil)
}
