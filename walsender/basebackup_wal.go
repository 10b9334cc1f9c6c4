package walsender

import (
	"context"
	"io/fs"
	"path"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/internal/basebackup"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// sendWAL sends the segments that the backup needs, and every history file. Each has the
// mark of one that is archived: a copy that is promoted must not archive it again.
func (b *baseBackup) sendWAL(ctx context.Context, a *basebackup.Archive, stop protocol.BackupStop) error {
	lister, ok := b.cluster.(WALLister)
	if !ok {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no write-ahead log to send")
	}
	for f, err := range lister.WALFiles(ctx, stop.StartPtr, stop.StopPtr) {
		if err == nil {
			err = impossible.Error("WALFiles", protocol.CheckPath(f.Path))
		}
		if err == nil {
			err = impossible.File("WALFiles", f)
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

// sendWALFile sends a segment, or a history file, which the manifest has.
func (b *baseBackup) sendWALFile(ctx context.Context, a *basebackup.Archive, f protocol.File) error {
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
	if err := a.Header(h); err != nil {
		return err
	}
	sum := b.manifest.Checksum()
	whole, err := b.sendBytes(ctx, a, file, h.Size, sum)
	switch {
	case err != nil:
		return err
	case !whole:
		return fileError(f.Path, fs.ErrNotExist)
	}
	if err := a.Pad(h.Size); err != nil {
		return err
	}
	if !protocol.IsHistoryFileName(path.Base(f.Path)) {
		return nil
	}
	return b.manifest.AddFile(f.Path, h, sum)
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
	return basebackup.SplitRange(last, stop.Timeline, string(history.Content))
}
