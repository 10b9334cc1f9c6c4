package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
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
	if errors.As(err, &b.badPages) && b.badPages.Code == protocol.CodeDataCorrupted && rows == 1 {
		err = nil
	} else {
		b.badPages = nil
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
	now, err := b.askTablespaces(grammar.ListTablespaces{})
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
			return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
				"tablespace %d was created during the backup", t.OID).
				WithHint("A server that is restored from this backup would write into %q, the directory of the original. Take another backup.", t.Location)
		}
	}
	return nil
}

// copyWAL copies the WAL, unless it is to come from an archive.
func (b *backup) copyWAL(ctx context.Context) error {
	if err := b.readHistory(); err != nil {
		return err
	}
	if _, err := b.walRanges(); err != nil {
		return err // the end is on a timeline that does not come from the start's
	}
	if b.WAL.Method == WALNone {
		if b.stopped.Label != "" {
			return nil
		}
		b.events.tell(LevelWarning, "write-ahead log is copied all the same: the backup could not be started without it")
	}
	need := walNeed{
		start: b.stopped.StartPtr, stop: b.stopped.StopPtr, history: b.history, segmentSize: b.cluster.segmentSize,
	}
	if b.stream != nil {
		return b.copyStreamedWAL(ctx, need)
	}
	var err error
	if b.wal, err = need.walFiles(b.leader); err != nil {
		return b.walGone(err)
	}
	if err := b.ensureWALDirectories(); err != nil {
		return err
	}
	records, err := newWALRecords(b.walSource(), need, b.wal)
	if err != nil {
		return err
	}
	for _, w := range b.workers {
		w.sink = &recordSink{w.sink, records}
	}
	t := &transfer{
		files: b.wal,
		queue: newQueue(b.wal.Sorted(output.ByPath)), // the oldest first: it is the next that the server removes
		jobs:  b.Jobs, minJobs: b.MinJobs, tell: b.events.tell, received: walReceived,
		reconnect: func(attempt context.Context) (*wire.Conn, error) {
			return b.redial(attempt, ctx) // WAL is sent to whoever asks (§3.9)
		},
	}
	if err := t.copyAll(ctx, b.workers); err != nil {
		return b.walGone(err)
	}
	return b.finishWAL(records.join())
}

// walReceived judges a WAL file, for which there are no excuses.
func walReceived(f *output.File, listed int64, refused *protocol.Error) error {
	if refused != nil {
		return fmt.Errorf("could not receive file %q: %w", f.Path, refused)
	}
	if f.Size != listed {
		return fmt.Errorf("unexpected WAL file size %q: %d bytes of %d", f.Path, f.Size, listed)
	}
	return nil
}

// readHistory finds out by which timelines the backup's WAL leads from its start to
// its end.
func (b *backup) readHistory() error {
	tli := b.stopped.StopTimeline
	var content string
	if tli != b.stopped.Timeline {
		h, err := wire.Row(b.leader, grammar.TimelineHistory{Timeline: tli}.String(), protocol.DecodeHistoryFile)
		if err != nil {
			return fmt.Errorf("could not read the history of timeline %d: %w", tli, err)
		}
		content = string(h.Content)
	}
	var err error
	b.history, err = parseHistory(tli, content)
	return err
}

// finishWAL makes sure that the WAL which has arrived is the backup's, and does no harm when
// it is replayed, and says what of it is archived.
func (b *backup) finishWAL(records *walrecord.Run) error {
	if err := b.checkRecords(records); err != nil {
		return err
	}
	if err := b.checkReplay(records.Creations); err != nil {
		return err
	}
	return b.markArchived(records.End())
}

// markArchived writes the .done file of each WAL file that is complete for good, and notes
// what of all that the manifest names. A cluster that crashed may not have archived its
// segments: the copy archives them, rather twice than never. end is where the records end. The segment that
// holds the end has none: a copy that stays on its timeline goes on writing into it, and
// would recycle it without archiving it (§5.1).
func (b *backup) markArchived(end protocol.LSN) error {
	if err := b.ensureWALDirectories(); err != nil {
		return err
	}
	for i := range int32(b.wal.Len()) {
		f := b.wal.At(i)
		if tli, begin, segment := protocol.ParseWALFileName(filepath.Base(f.Path), b.cluster.segmentSize); segment &&
			(b.stopped.StopPtr == 0 || tli >= b.stopped.StopTimeline && begin+protocol.LSN(b.cluster.segmentSize) > end) {
			continue
		}
		done := doneFile(f.Path)
		if err := b.writeOwn(done, nil, f.ModTime); err != nil {
			return err
		}
		if protocol.IsHistoryFileName(filepath.Base(f.Path)) {
			b.extra = append(b.extra, *f)
		}
	}
	return nil
}

func (b *backup) writeLabel(context.Context) error {
	recovery, modTime := b.stopped.Label != "", b.listing.Control.ModTime
	spaces, err := b.out.TablespaceMap(recovery)
	if err != nil {
		return err
	}
	if len(spaces) > 0 {
		if err := b.writeOwn(output.TablespaceMapFile, spaces, modTime); err != nil {
			return err
		}
	}
	if !recovery {
		return nil // a label that the client made up would keep the copy from starting (§4.1)
	}
	return b.writeOwn(output.LabelFile, []byte(b.stopped.Label), modTime)
}

// writeOwn writes a file of the client's own that the manifest names.
func (b *backup) writeOwn(path string, content []byte, modTime int64) error {
	if err := b.out.WriteFile(path, content, modTime); err != nil {
		return err
	}
	b.extra = append(b.extra, output.OwnFile(path, content, modTime, b.Manifest.Checksums))
	return nil
}

// release makes what was copied a backup that can be used, in the order of §5.6.
func (b *backup) release(ctx context.Context) error {
	manifest := b.manifestTo
	if b.Manifest.Omit {
		manifest = nil
	}
	return b.out.Release(manifest, func(step string) error { return b.begin(ctx, step) })
}

func (b *backup) ensureWALDirectories() error {
	for _, directory := range []string{output.WALFolder, output.WALFolder + "/archive_status"} {
		if err := b.out.EnsureDirectory(directory); err != nil {
			return err
		}
	}
	return nil
}

// walRanges is the WAL that the manifest names: none where its end is not known.
func (b *backup) walRanges() ([]manifest.WALRange, error) {
	if b.stopped.StopPtr == 0 {
		return nil, nil
	}
	return b.history.ranges(b.stopped.Timeline, b.stopped.StartPtr, b.stopped.StopPtr)
}
