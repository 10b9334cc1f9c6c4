package walstream

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// Need is the WAL that a backup needs.
type Need struct {
	Start, Stop protocol.LSN // a zero Stop: all that there is
	History     Lineage      // of the timeline that holds Stop
	SegmentSize int64
}

// Check holds a list of LIST_WAL_FILES to what the backup needs: nothing but
// segments and history files, each once, and no gap from Start to Stop (§5.2).
func (n Need) Check(list *output.Files) error {
	listed := make(map[string]bool, list.Len())
	for i := range int32(list.Len()) {
		f := list.At(i)
		name, below := strings.CutPrefix(f.Path, "pg_wal/")
		_, _, isSegment := protocol.ParseWALFileName(name, n.SegmentSize)
		switch {
		case !below || !isSegment && !protocol.IsHistoryFileName(name):
			return fmt.Errorf("server listed %q, which is no WAL file", f.Path)
		case listed[name]:
			return fmt.Errorf("server listed %q more than once, and not as the same", f.Path)
		case isSegment && f.Size != n.SegmentSize:
			return fmt.Errorf("unexpected WAL file size %q: %d bytes", name, f.Size)
		}
		listed[name] = true
	}
	_, err := n.Segments(list)
	return err
}

// Segments are those of a list that a recovery reads, by their paths, and where each
// begins. One that is missing is an error.
func (n Need) Segments(list *output.Files) (map[string]protocol.LSN, error) {
	listed := make(map[string]bool, list.Len())
	var last protocol.LSN // of the segments that were listed, the last one's beginning
	for i := range int32(list.Len()) {
		name := strings.TrimPrefix(list.At(i).Path, "pg_wal/")
		listed[name] = true
		if _, begin, segment := protocol.ParseWALFileName(name, n.SegmentSize); segment {
			last = max(last, begin)
		}
	}
	size, stop := protocol.LSN(n.SegmentSize), n.Stop
	if stop == 0 {
		stop = max(last+size, n.Start+1)
	}
	segments := map[string]protocol.LSN{}
	for begin := n.Start - n.Start%size; begin < stop; begin += size {
		// Of two timelines with this segment the newer has all that the
		// older has up to where it was left.
		name := protocol.WALFileName(n.History.At(min(begin+size, stop)), begin, n.SegmentSize)
		if !listed[name] && n.Stop == 0 {
			name = newestTimeline(listed, name)
		}
		if !listed[name] {
			return nil, fmt.Errorf("could not find WAL file %q", name)
		}
		segments["pg_wal/"+name] = begin
	}
	return segments, nil
}

// newestTimeline looks for a segment where nothing tells its timeline.
func newestTimeline(listed map[string]bool, name string) string {
	newest := name
	for other := range listed {
		if len(other) == len(name) && other[8:] == name[8:] && (newest == name || other > newest) {
			newest = other
		}
	}
	return newest
}
