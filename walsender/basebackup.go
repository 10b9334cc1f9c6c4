package walsender

import (
	"context"
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/compression"
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
	stream      *baseBackupStream
	manifest    *baseBackupManifest // nil for none
	buffer      []byte              // where files are read to: whole pages, so that a file can verify them
	control     protocol.File       // pg_control in the listing
	excused     string              // a file that vanished or was shorter than it had been
}

// newBaseBackup reads the options of the command. What is wrong with them is found before
// the backup begins.
func (s *session) newBaseBackup(ctx context.Context, c grammar.BaseBackup) (*baseBackup, error) {
	settings, err := s.cluster.Settings(ctx)
	if err == nil {
		err = impossible("Settings", checkSettings(settings))
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

// announce tells where the backup begins, and which tablespaces there are.
func (b *baseBackup) announce(ctx context.Context) error {
	if !b.options.WAL && b.from.StopUnknown {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			"a backup of a cluster that was not shut down cleanly needs all of its WAL").
			WithHint("Ask for the WAL with the backup: pg_basebackup --wal-method=fetch.")
	}
	all, err := b.cluster.Tablespaces(ctx, false)
	if err == nil {
		err = impossible("Tablespaces", checkTablespaces(all))
	}
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.InPlace() && b.major < firstInPlace {
			b.inPlace = append(b.inPlace, t)
		} else {
			b.tablespaces = append(b.tablespaces, t)
		}
	}
	if b.options.Progress {
		if err := b.measure(ctx); err != nil {
			return err
		}
	}
	if err := b.position(b.from.StartPtr, b.from.Timeline); err != nil {
		return err
	}
	return b.listTablespaces()
}

// send sends the archives and the manifest, and stops the backup when only the WAL is
// still to be sent.
func (b *baseBackup) send(ctx context.Context) (stop protocol.BackupStop, err error) {
	b.stream = newBaseBackupStream(ctx, b.session, b.entry, b.major)
	frames := b.server.takeFrames(b.out)
	defer b.server.frames.Put(frames)
	b.buffer = frames.Buffer() // files are read into it; nothing is sent from it
	if b.options.Manifest != grammar.NoManifest {
		if b.manifest, err = b.newManifest(ctx); err != nil {
			return stop, err
		}
		defer b.manifest.close()
	}
	writer, err := b.compression.NewWriter()
	if err != nil {
		return stop, err
	}
	// Where something fails: nobody waits for what the writer still has.
	defer func() {
		writer.Reset(io.Discard)
		_ = writer.Close()
	}()
	if err := b.stream.begin(); err != nil {
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
		if err := b.sendManifest(ctx, stop); err != nil {
			return stop, err
		}
	}
	return stop, b.stream.end()
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
		err = impossible("Identify", checkSystem(system))
	}
	if err != nil {
		return fmt.Errorf("finding the end of the WAL: %w", err)
	}
	return b.position(max(system.XLogPos, stop.StartPtr), system.Timeline)
}
