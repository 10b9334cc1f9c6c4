package client

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/walstream"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// defaultWALPatience is how long the server may send nothing of the WAL that it says the
// backup needs, which it has had on disk when it said so.
const defaultWALPatience = time.Minute

// openStream opens the connection that the WAL will come over, to the very walsender: one
// too many must be known before the checkpoint, and behind it the slot cannot wait for a
// connection to be made. It comes ahead of the workers', so that these take what the
// server has left, where fewer of them are enough (§5.4).
func (b *backup) openStream(ctx context.Context) error {
	if b.WAL.Method != WALStream {
		return nil
	}
	c, err := b.dialer.Another(ctx, ctx)
	if err != nil {
		return err
	}
	b.stream, err = walstream.Open(c, walstream.Config{
		Slot: b.WAL.Slot, CreateSlot: b.WAL.CreateSlot, NoSlot: b.WAL.NoSlot, StatusInterval: b.WAL.StatusInterval,
		Timeout: b.Timeout, Source: b.walSource(), Checksums: b.Manifest.Checksums, Log: &b.events,
	})
	return err
}

// startStream starts to receive WAL from the segment on that the backup begins in.
func (b *backup) startStream(context.Context) error {
	if b.stream == nil {
		return nil
	}
	if err := b.stream.Reserve(b.started.StartPtr); err != nil {
		return err
	}
	sink, err := b.out.WALSink()
	if err != nil {
		return err
	}
	b.events.tell(LevelVerbose, "starting to receive write-ahead log")
	b.stream.Start(sink, b.started.StartPtr, b.started.Timeline, b.fail)
	return nil
}

// walSource is what the WAL must be of.
func (b *backup) walSource() walrecord.Source {
	return walrecord.Source{
		SystemID: b.cluster.system.SystemID, SegmentSize: b.cluster.segmentSize, Major: b.cluster.versionNum / 10000,
	}
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
	need := walstream.Need{
		Start: b.stopped.StartPtr, Stop: b.stopped.StopPtr, History: b.history, SegmentSize: b.cluster.segmentSize,
	}
	var err error
	b.walRecords, err = b.receiveWAL(ctx, need)
	return err
}

// judgeWAL makes sure that the WAL which was copied is the backup's, and does no harm when
// it is replayed.
func (b *backup) judgeWAL(context.Context) error {
	if b.walRecords == nil {
		return nil
	}
	if err := b.checkRecords(b.walRecords); err != nil {
		return err
	}
	if err := b.checkReplay(b.walRecords.Directories); err != nil {
		return err
	}
	return b.markArchived(b.walRecords.End())
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
	b.history, err = walstream.ParseHistory(tli, content)
	return err
}

// walRanges is the WAL that the manifest names: none where its end is not known.
func (b *backup) walRanges() ([]manifest.WALRange, error) {
	if b.stopped.StopPtr == 0 {
		return nil, nil
	}
	return b.history.Ranges(b.stopped.Timeline, b.stopped.StartPtr, b.stopped.StopPtr)
}

// receiveWAL sets b.wal to the files that the backup needs, all of which have arrived when
// it returns, and returns their records.
func (b *backup) receiveWAL(ctx context.Context, need walstream.Need) (*walrecord.Run, error) {
	if b.stream == nil {
		records, err := b.fetchWAL(ctx, need)
		return records, b.walGone(err)
	}
	wal, err := b.stream.WaitFor(ctx, need.Stop, b.walPatience)
	if err != nil {
		return nil, err
	}
	b.wal = wal.Files
	return wal.Records, need.Check(b.wal)
}

// fetchWAL has the workers copy the WAL files that the server lists.
func (b *backup) fetchWAL(ctx context.Context, need walstream.Need) (*walrecord.Run, error) {
	var err error
	if b.wal, err = b.listWAL(need); err != nil {
		return nil, err
	}
	if err := b.ensureWALDirectories(); err != nil {
		return nil, err
	}
	records, err := newWALRecords(b.walSource(), need, b.wal)
	if err != nil {
		return nil, err
	}
	for _, w := range b.workers {
		w.sink, w.progress = &recordSink{w.sink, records}, nil // WAL does not count
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
		return nil, err
	}
	return records.join(), nil
}

// listWAL lists what the backup needs, on the leader's connection.
func (b *backup) listWAL(need walstream.Need) (*output.Files, error) {
	command := grammar.ListWALFiles{Start: grammar.At(need.Start)}
	if need.Stop != 0 {
		command.End = grammar.At(need.Stop)
	}
	list := &output.Files{}
	err := b.leader.Rows(command.String(), func(row protocol.Row) error {
		f, err := protocol.DecodeFile(row)
		if err == nil && f.Type != protocol.TypeFile {
			err = fmt.Errorf("server listed %q, which is no WAL file", f.Path)
		}
		list.Add(output.File{Path: f.Path, Size: f.Size, ModTime: f.ModTime.Unix()})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("could not list WAL files: %w", err)
	}
	return list, need.Check(list)
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

// walGone adds to the failure of fetching WAL what there is to do where the cluster has
// removed it.
func (b *backup) walGone(err error) error {
	if !protocol.HasCode(err, protocol.CodeUndefinedFile) || b.walAccess() == protocol.WALKept {
		return err
	}
	return walstream.WithHint(err, "The cluster has removed it before it was fetched. Have it streamed (\"pgparallel serve --passthrough\"), "+
		"raise wal_keep_size, or leave it out (--wal-method=none) where the cluster archives it.")
}

// markArchived writes the .done file of each WAL file that is complete for good, and notes
// what of all that the manifest names. A cluster that crashed may not have archived its
// segments: the copy archives them, rather twice than never. end is where the records end.
// The segment that holds the end has none: a copy that stays on its timeline goes on
// writing into it, and would recycle it without archiving it (§5.1).
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
		if err := b.writeOwn(doneFile(f.Path), nil, f.ModTime); err != nil {
			return err
		}
		if protocol.IsHistoryFileName(filepath.Base(f.Path)) {
			b.extra = append(b.extra, *f)
		}
	}
	return nil
}

// doneFile is the file that keeps the restored server from archiving a segment
// again.
func doneFile(path string) string {
	return "pg_wal/archive_status/" + strings.TrimPrefix(path, "pg_wal/") + ".done"
}

func (b *backup) ensureWALDirectories() error {
	for _, directory := range []string{output.WALFolder, output.WALFolder + "/archive_status"} {
		if err := b.out.EnsureDirectory(directory); err != nil {
			return err
		}
	}
	return nil
}
