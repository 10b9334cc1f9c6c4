package datadir

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// walDirectory is where the WAL is, or a link to it.
const walDirectory = "pg_wal"

// WALFiles lists the segments that hold bytes of [start, end) on any timeline,
// ascending by position and timeline, then every history file (§4.7). A zero
// start means the oldest segment there is, a zero end no end.
//
// A file is listed if it has the size of a segment, and its first page belongs to the
// segment of that name. Segments that PostgreSQL has recycled or allocated in advance have
// names ahead of the WAL's end and other pages, and are not listed.
//
// The error comes before the first row: 58P01 where no segment holds a position of the
// range, 22023 where start is behind end. Without an end the range goes to the last
// segment.
func (d *Dir) WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		files, err := d.walFiles(ctx, start, end)
		if err != nil {
			yield(protocol.File{}, err)
			return
		}
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// segment is a file of pg_wal whose content belongs to its name.
type segment struct {
	name     string
	timeline protocol.Timeline
	start    protocol.LSN
	stat     unix.Stat_t
}

func (d *Dir) walFiles(ctx context.Context, start, end protocol.LSN) ([]protocol.File, error) {
	if end != 0 && start > end {
		return nil, protocol.Errorf(protocol.CodeInvalidParameterValue, "the start of the WAL range, %v, is after its end, %v", start, end)
	}
	c, err := d.Control(ctx)
	if err != nil {
		return nil, err
	}
	wal, err := d.openWALDirectory()
	if err != nil {
		return nil, err
	}
	defer wal.Close()
	names, err := wal.AllNames()
	if err != nil {
		return nil, ioError("read directory", walDirectory, err)
	}
	segments, err := walSegments(ctx, wal, c, names, start, end)
	if err != nil {
		return nil, err
	}
	if err := checkGaps(segments, c, start, end); err != nil {
		return nil, err
	}
	histories, err := historyFiles(wal, names)
	if err != nil {
		return nil, err
	}
	files := make([]protocol.File, 0, len(segments)+len(histories))
	for _, s := range segments {
		files = append(files, row(walDirectory+"/"+s.name, protocol.TypeFile, s.stat))
	}
	return append(files, histories...), nil
}

// openWALDirectory opens pg_wal, which may be a link to a directory.
func (d *Dir) openWALDirectory() (beneath.Dir, error) {
	dir, err := d.root.Follow(walDirectory)
	if err != nil {
		return nil, ioError("open directory", walDirectory, err)
	}
	return dir, nil
}

// walSegments finds the segments of the range, in order.
func walSegments(ctx context.Context, wal beneath.Dir, c controlfile.Control, names []string, start, end protocol.LSN) ([]segment, error) {
	size := protocol.LSN(c.WALSegmentSize)
	var found []segment
	if end != 0 && start >= end {
		return nil, nil // holds no byte, also where it lies within a segment
	}
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		timeline, first, valid := protocol.ParseWALFileName(name, int64(size))
		if !valid || first+(size-1) < start || end != 0 && first >= end {
			continue
		}
		st, err := statSegment(wal, name, c)
		switch {
		case errors.Is(err, errNotSegment), errors.Is(err, unix.ENOENT):
			continue
		case err != nil:
			return nil, ioError("read file", walDirectory+"/"+name, err)
		}
		found = append(found, segment{name, timeline, first, st})
	}
	slices.SortFunc(found, func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.timeline, b.timeline))
	})
	return found, nil
}

// checkGaps makes sure that the sorted segments cover the range.
func checkGaps(segments []segment, c controlfile.Control, start, end protocol.LSN) error {
	size := protocol.LSN(c.WALSegmentSize)
	if end != 0 && start == end {
		return nil
	}
	next := start - start%size
	if start == 0 && len(segments) > 0 {
		next = segments[0].start
	}
	for _, s := range segments {
		if s.start > next {
			return removed(protocol.WALFileName(s.timeline, next, int64(size)))
		}
		next = s.start + size
	}
	missing := end != 0 && next < end || len(segments) == 0 && (start != 0 || end != 0)
	if missing {
		return removed(protocol.WALFileName(c.Timeline, next, int64(size)))
	}
	return nil
}

// historyFiles lists the history files of all timelines, sorted by name, which is the
// order of the timelines.
func historyFiles(wal beneath.Dir, names []string) ([]protocol.File, error) {
	var files []protocol.File
	for _, name := range names {
		if !protocol.IsHistoryFileName(name) {
			continue
		}
		st, err := wal.Lstat(name)
		switch {
		case errors.Is(err, unix.ENOENT):
			continue
		case err != nil:
			return nil, ioError("stat file", walDirectory+"/"+name, err)
		case beneath.FileType(st) == unix.S_IFREG:
			files = append(files, row(walDirectory+"/"+name, protocol.TypeFile, st))
		}
	}
	return files, nil
}
