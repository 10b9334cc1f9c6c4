package walsender

import (
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// sendWAL sends the segments that the backup needs, and every history file. Each has the
// mark of one that is archived: a copy that is promoted must not archive it again.
func (b *baseBackup) sendWAL(ctx context.Context, a *archive, stop protocol.BackupStop) error {
	lister, ok := b.cluster.(WALLister)
	if !ok {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no write-ahead log to send")
	}
	for f, err := range lister.WALFiles(ctx, stop.StartPtr, stop.StopPtr) {
		if err == nil {
			err = impossible("WALFiles", checkWALFile(f))
		}
		if err != nil {
			return err
		}
		if err := b.sendWALFile(ctx, a, f); err != nil {
			return err
		}
		done := injected("pg_wal/archive_status/"+path.Base(f.Path)+".done", nil)
		if err := b.sendContent(a, done); err != nil {
			return err
		}
	}
	return nil
}

// checkWALFile checks a row of the list of WAL.
func checkWALFile(f protocol.File) error {
	if err := protocol.CheckPath(f.Path); err != nil {
		return err
	}
	return checkFile(f)
}

// sendWALFile sends a segment, or a history file, which the manifest has.
func (b *baseBackup) sendWALFile(ctx context.Context, a *archive, f protocol.File) error {
	file, err := b.cluster.Open(ctx, f.Path, protocol.OpenOptions{Notice: b.notice})
	if err != nil {
		return fileError(f.Path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	h := b.memberHeader(a, f)
	h.Size, h.ModTime = info.Size(), info.ModTime()
	if err := a.header(h); err != nil {
		return err
	}
	sum := b.manifest.checksum()
	whole, err := b.sendBytes(ctx, a, file, h.Size, sum)
	switch {
	case err != nil:
		return err
	case !whole:
		return fileError(f.Path, fs.ErrNotExist)
	}
	if err := a.pad(h.Size); err != nil {
		return err
	}
	if !protocol.IsHistoryFileName(path.Base(f.Path)) {
		return nil
	}
	return b.manifest.addFile(f.Path, h, sum)
}

// walRanges is the WAL that the manifest names: none where its end is not known.
func (b *baseBackup) walRanges(ctx context.Context, stop protocol.BackupStop) ([]manifest.WALRange, error) {
	if stop.StopPtr == 0 {
		return nil, nil
	}
	last := manifest.WALRange{Timeline: stop.StopTimeline, Start: stop.StartPtr, End: stop.StopPtr}
	if stop.StopTimeline == stop.Timeline {
		return []manifest.WALRange{last}, nil
	}
	historian, ok := b.cluster.(Historian)
	if !ok {
		return nil, protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no timeline history files")
	}
	history, err := historian.TimelineHistory(ctx, stop.StopTimeline)
	if err != nil {
		return nil, fileError("pg_wal/"+protocol.HistoryFileName(stop.StopTimeline), err)
	}
	return splitRange(last, stop.Timeline, string(history.Content))
}

// splitRange divides a range that ends on its timeline and starts on another by the
// history: the newest timeline comes first.
func splitRange(last manifest.WALRange, from protocol.Timeline, history string) ([]manifest.WALRange, error) {
	var ranges []manifest.WALRange
	start, found := last.Start, false
	for ancestor, err := range protocol.Ancestors(history) {
		if err != nil {
			return nil, protocol.Errorf(protocol.CodeDataCorrupted, "invalid line in the history of timeline %d: %s", last.Timeline, strings.TrimSpace(err.Error()))
		}
		found = found || ancestor.Timeline == from
		if !found || ancestor.End <= start {
			continue
		}
		ranges = append([]manifest.WALRange{{Timeline: ancestor.Timeline, Start: start, End: min(ancestor.End, last.End)}}, ranges...)
		start = ancestor.End
	}
	if !found {
		return nil, protocol.Errorf(protocol.CodeDataCorrupted, "timeline %d is not in the history of timeline %d", from, last.Timeline)
	}
	last.Start = start
	return append([]manifest.WALRange{last}, ranges...), nil
}
