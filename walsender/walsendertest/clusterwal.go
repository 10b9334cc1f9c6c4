package walsendertest

import (
	"context"
	"io/fs"
	"iter"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// WALFiles lists segment 1 and segment 2, as far as they hold bytes of [start, end),
// and the history files.
func (c *Cluster) WALFiles(_ context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		if err := c.build(); err != nil {
			yield(protocol.File{}, err)
			return
		}
		if err := c.checkRange(start, end); err != nil {
			yield(protocol.File{}, err)
			return
		}
		for _, row := range c.tree.rows {
			if c.inRange(row, start, end) && !yield(row, nil) {
				return
			}
		}
	}
}

// checkRange is 58P01 where the range goes beyond the two segments.
func (c *Cluster) checkRange(start, end protocol.LSN) error {
	first, behind := c.sample.segmentStart(1), c.sample.segmentStart(3)
	missing := protocol.LSN(0)
	switch {
	case start != 0 && start < first:
		missing = start
	case end > behind && start < end:
		missing = max(behind, start)
	case start >= behind && end == 0:
		missing = start
	default:
		return nil
	}
	name := protocol.WALFileName(c.sample.Timeline, missing, int64(c.sample.WALSegmentSize))
	return protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment %s has already been removed", name)
}

func (c *Cluster) inRange(row protocol.File, start, end protocol.LSN) bool {
	name, inWAL := strings.CutPrefix(row.Path, "pg_wal/")
	if !inWAL || row.Type != protocol.TypeFile {
		return false
	}
	if protocol.IsHistoryFileName(name) {
		return true
	}
	size := protocol.LSN(c.sample.WALSegmentSize)
	_, at, ok := protocol.ParseWALFileName(name, int64(size))
	if !ok || at >= c.sample.segmentStart(3) { // segment 3 is a recycled one
		return false
	}
	return at+size > start && (end == 0 || at < end)
}

// ReplicationSlot is one of Slots; fs.ErrNotExist where there is none of the name.
func (c *Cluster) ReplicationSlot(_ context.Context, name string) (protocol.ReplicationSlot, error) {
	for _, slot := range c.Slots {
		if slot.Name == name {
			return slot, nil
		}
	}
	return protocol.ReplicationSlot{}, fs.ErrNotExist
}

// TimelineHistory is the history file of a timeline; 58P01 where there is none.
func (c *Cluster) TimelineHistory(_ context.Context, tli protocol.Timeline) (protocol.HistoryFile, error) {
	if err := c.build(); err != nil {
		return protocol.HistoryFile{}, err
	}
	name := protocol.HistoryFileName(tli)
	if tli < 2 || tli > c.sample.Timeline {
		return protocol.HistoryFile{}, gone("pg_wal/" + name)
	}
	return protocol.HistoryFile{Name: name, Content: c.sample.history(tli)}, nil
}
