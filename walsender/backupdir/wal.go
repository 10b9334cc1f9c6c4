package backupdir

import (
	"context"
	"iter"

	"github.com/pgparallel/pgparallel/protocol"
)

// WALFiles lists the WAL of the backup, as [datadir.Dir.WALFiles] does: the segments from
// that of its start to that of its end, and the history files. A zero start means the
// backup's own, a zero end too. What lies before or behind is 58P01.
func (b *Backup) WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	first, last := b.segments()
	if start == 0 {
		start = b.contents.stop.StartPtr
	}
	if end == 0 {
		end = max(start, b.contents.stop.StopPtr)
	}
	switch {
	case start < first:
		return refused(removed(b.segmentName(start)))
	case end > last:
		return refused(removed(b.segmentName(max(start, last))))
	}
	return b.Dir.WALFiles(ctx, start, end)
}

func refused(err error) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) { yield(protocol.File{}, err) }
}

// segments is where the first segment of the backup begins, and where the last one ends.
func (b *Backup) segments() (first, last protocol.LSN) {
	size := protocol.LSN(b.contents.segments)
	stop := b.contents.stop
	return stop.StartPtr - stop.StartPtr%size, (stop.StopPtr + size - 1) / size * size
}

func (b *Backup) segmentName(at protocol.LSN) string {
	return protocol.WALFileName(b.contents.stop.StopTimeline, at, b.contents.segments)
}

// checkSegment refuses the segments that are not the backup's, by their names in pg_wal.
// Names of other files are for others to judge.
func (b *Backup) checkSegment(name string) error {
	_, begin, isSegment := protocol.ParseWALFileName(name, b.contents.segments)
	if first, last := b.segments(); isSegment && (begin < first || begin >= last) {
		return removed(name)
	}
	return nil
}

// warnOfWAL says at the start of a backup that its WAL is not there: whoever wants it learns
// of it before the files are copied.
func (b *Backup) warnOfWAL(ctx context.Context, notice protocol.NoticeFunc) error {
	stop := b.contents.stop
	for _, err := range b.WALFiles(ctx, stop.StartPtr, stop.StopPtr) {
		if protocol.HasCode(err, protocol.CodeUndefinedFile) {
			notice(protocol.Warningf("the backup has no write-ahead log from %v to %v of its own: recovery of a copy takes it from an archive", stop.StartPtr, stop.StopPtr))
			return nil
		}
		return err
	}
	return nil
}
