package walsender

import (
	"context"
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/basebackup"
	"github.com/pgparallel/pgparallel/walsender/internal/compression"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// baseBackup answers BASE_BACKUP (§9.1): one command that starts a backup, sends all of it
// and stops it. To the table it is a backup like any other, which nobody can join: its id is
// told to nobody.
func (s *session) baseBackup(ctx context.Context, c grammar.BaseBackup) error {
	// Where the cluster passes commands through, another right was asked for.
	if !s.grant.Backup {
		return s.denied("permission denied to take a backup")
	}
	if err := s.member.requireIdle(); err != nil {
		return err
	}
	if err := s.reopen(ctx); err != nil {
		return err
	}
	b, err := s.newBaseBackup(ctx, c)
	if err != nil {
		return err
	}
	b.entry, err = s.server.Backups.Start(sharedstate.Request{
		Owner: s.user, Label: b.options.Label, Directory: s.cluster.Directory(), MaxRate: b.options.MaxRate,
	})
	if err != nil {
		return err
	}
	s.lead(b.entry)
	failures, err := b.run(ctx)
	if err != nil {
		return s.baseBackupFailed(b.entry, err)
	}
	if failures > 0 {
		return damaged(s, failures)
	}
	return s.complete("BASE_BACKUP")
}

// baseBackupFailed ends the backup because of err, and returns what the client is told.
func (s *session) baseBackupFailed(b *sharedstate.Backup, err error) error {
	if b.Err() != nil && !isLost(err) {
		err = s.member.noticeEnd()
	}
	s.member.leave(err)
	return abortedBy(err, b)
}

// damaged is what PostgreSQL says in the place of the command's tag.
func damaged(s *session, failures int64) error {
	if failures > 1 {
		if err := s.out.send(wire.NoticeResponse(protocol.Warningf("%d total checksum verification failures", failures))); err != nil {
			return err
		}
	}
	return protocol.Errorf(protocol.CodeDataCorrupted, "checksum verification failure during base backup")
}

// baseBackup is a BASE_BACKUP that runs.
type baseBackup struct {
	*session
	options     grammar.BaseBackupOptions
	settings    protocol.Settings
	major       int
	compression compression.Spec

	entry       *sharedstate.Backup // in the table
	from        protocol.StartPoint
	tablespaces []protocol.Tablespace // those that are archives of their own, the data directory last
	inPlace     []protocol.Tablespace // those whose files are in the archive of the data directory
	stream      *basebackup.Stream
	manifest    *basebackup.Manifest // nil for none
	buffer      []byte               // where files are read to: whole pages, so that a file can verify them
	control     protocol.File        // pg_control in the listing
	excused     string               // a file that vanished or was shorter than it had been
}

// newBaseBackup reads the options of the command. What is wrong with them is found before
// the backup begins.
func (s *session) newBaseBackup(ctx context.Context, c grammar.BaseBackup) (*baseBackup, error) {
	settings, err := s.cluster.Settings(ctx)
	if err == nil {
		err = impossible.Settings(settings)
	}
	if err != nil {
		return nil, err
	}
	b := &baseBackup{session: s, settings: settings, major: settings.ServerVersionNum / 10000}
	if b.options, err = c.Parse(b.major); err != nil {
		return nil, err
	}
	if b.options.Compression != "" {
		var detail *string
		if b.options.Detailed {
			detail = &b.options.CompressionDetail
		}
		if b.compression, err = compression.Parse(b.options.Compression, detail, b.major); err != nil {
			return nil, err
		}
	}
	if b.options.Incremental {
		return nil, protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			"incremental backups cannot be taken unless WAL summarization is enabled")
	}
	return b, nil
}

// run is the whole backup, as long as the table has it. It returns how many pages were
// damaged.
func (b *baseBackup) run(ctx context.Context) (failures int64, err error) {
	if b.from, err = b.enterBackupMode(ctx, b.entry, grammar.StartBackup{Label: b.options.Label, Fast: b.options.Fast}); err != nil {
		return 0, err
	}
	ctx, done := b.underWay.ofBackup(ctx, b.stall, b.entry)
	defer done()
	if err := b.announce(ctx); err != nil {
		return 0, err
	}
	defer b.awaitReader()()
	stop, err := b.send(ctx)
	if err != nil {
		return 0, err
	}
	if err := b.endPosition(ctx, stop); err != nil {
		return 0, err
	}
	failures = b.entry.Counters().ChecksumFailures
	b.entry.End()
	b.member.becomeIdle()
	b.backupEnded(b.entry, nil)
	return failures, nil
}

// send sends the archives and the manifest, and stops the backup when only the WAL is
// still to be sent.
func (b *baseBackup) send(ctx context.Context) (stop protocol.BackupStop, err error) {
	b.stream = b.newStream(ctx)
	frames := b.server.takeFrames(b.out)
	defer b.server.frames.Put(frames)
	b.buffer = frames.Buffer() // files are read into it; nothing is sent from it
	b.manifest, err = basebackup.NewManifest(b.options, b.major, func() (protocol.System, error) { return b.cluster.Identify(ctx) })
	if err != nil {
		return stop, err
	}
	defer b.manifest.Close()
	writer, err := b.compression.NewWriter()
	if err != nil {
		return stop, err
	}
	// Where something fails: nobody waits for what the writer still has.
	defer func() {
		writer.Reset(io.Discard)
		_ = writer.Close()
	}()
	if err := b.stream.Begin(); err != nil {
		return stop, err
	}
	for _, t := range b.tablespaces[:len(b.tablespaces)-1] {
		if err := b.sendTablespace(ctx, t, writer); err != nil {
			return stop, err
		}
	}
	if stop, err = b.sendDataDirectory(ctx, writer); err != nil {
		return stop, err
	}
	if b.manifest != nil {
		ranges, err := b.walRanges(ctx, stop)
		if err != nil {
			return stop, err
		}
		if err := b.manifest.Send(b.stream, ranges); err != nil {
			return stop, err
		}
	}
	return stop, b.stream.End()
}

// newStream is the stream to the peer, at the rate of the backup, as long as what must hold of
// the backup does hold.
func (b *baseBackup) newStream(ctx context.Context) *basebackup.Stream {
	t := &transfer{backup: b.entry}
	return basebackup.NewStream(basebackup.Client{
		Send: b.out.send,
		Out:  b.out,
		Allow: func(n int) error {
			if err := b.throttle(ctx, t, n); err != nil {
				return err
			}
			// After the sleep: what is checked is what is sent.
			return b.checkPiece(ctx, t)
		},
	}, b.major, b.entry.FrameSize(basebackup.FrameSize))
}

// stopBackup ends the backup in the table and in the cluster.
func (b *baseBackup) stopBackup(ctx context.Context) (protocol.BackupStop, error) {
	if err := b.checkRecovery(ctx, &transfer{backup: b.entry}); err != nil {
		return protocol.BackupStop{}, err
	}
	if err := b.entry.Stop(); err != nil {
		return protocol.BackupStop{}, err
	}
	stop, err := b.member.led.Stop(ctx, !b.options.NoWait, b.noticeNow)
	switch {
	case err != nil:
		return stop, err
	case ctx.Err() != nil:
		return stop, context.Cause(ctx)
	case stop.Label == "" && b.excused != "":
		// Recovery would mend it, but there will be none.
		return stop, protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			"the cluster changed during the backup: file \"%s\" vanished or became shorter", protocol.Shorten(b.excused, 1024)).
			WithHint("This means that the backup being taken is corrupt and should not be used. Keep the server stopped, and take another backup.")
	}
	return stop, nil
}

// endPosition tells where the backup ends. One that does not know has all the WAL there is,
// and every position serves that is not before its start.
func (b *baseBackup) endPosition(ctx context.Context, stop protocol.BackupStop) error {
	if stop.StopPtr != 0 {
		return b.position(stop.StopPtr, stop.StopTimeline)
	}
	system, err := b.cluster.Identify(ctx)
	if err == nil {
		err = impossible.System(system)
	}
	if err != nil {
		return fmt.Errorf("finding the end of the WAL: %w", err)
	}
	return b.position(max(system.XLogPos, stop.StartPtr), system.Timeline)
}
