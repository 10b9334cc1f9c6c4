package client

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// walNeed is the WAL that a backup needs.
type walNeed struct {
	start, stop protocol.LSN // a zero stop: all that there is
	history     lineage      // of the timeline that holds stop
	segmentSize int64
}

// checkWAL holds a list of LIST_WAL_FILES to what the backup needs: nothing but
// segments and history files, each once, and no gap in [start, stop) (§5.2).
func (n walNeed) checkWAL(list *output.Files) error {
	listed := make(map[string]bool, list.Len())
	for i := range int32(list.Len()) {
		f := list.At(i)
		name, below := strings.CutPrefix(f.Path, "pg_wal/")
		_, _, isSegment := protocol.ParseWALFileName(name, n.segmentSize)
		switch {
		case !below || !isSegment && !protocol.IsHistoryFileName(name):
			return fmt.Errorf("server listed %q, which is no WAL file", f.Path)
		case listed[name]:
			return listedTwice(f.Path)
		case isSegment && f.Size != n.segmentSize:
			return fmt.Errorf("unexpected WAL file size %q: %d bytes", name, f.Size)
		}
		listed[name] = true
	}
	_, err := n.segments(list)
	return err
}

// segments are those of a list that a recovery reads, by their paths, and where each
// begins. One that is missing is an error.
func (n walNeed) segments(list *output.Files) (map[string]protocol.LSN, error) {
	listed := make(map[string]bool, list.Len())
	var last protocol.LSN // of the segments that were listed, the last one's beginning
	for i := range int32(list.Len()) {
		name := strings.TrimPrefix(list.At(i).Path, "pg_wal/")
		listed[name] = true
		if _, begin, segment := protocol.ParseWALFileName(name, n.segmentSize); segment {
			last = max(last, begin)
		}
	}
	size, stop := protocol.LSN(n.segmentSize), n.stop
	if stop == 0 {
		stop = max(last+size, n.start+1)
	}
	segments := map[string]protocol.LSN{}
	for begin := n.start - n.start%size; begin < stop; begin += size {
		// Of two timelines with this segment the newer has all that the
		// older has up to where it was left.
		name := protocol.WALFileName(n.history.at(min(begin+size, stop)), begin, n.segmentSize)
		if !listed[name] && n.stop == 0 {
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

// walFiles lists what the backup needs, on the leader's connection.
func (n walNeed) walFiles(c *wire.Conn) (*output.Files, error) {
	command := grammar.ListWALFiles{Start: grammar.At(n.start)}
	if n.stop != 0 {
		command.End = grammar.At(n.stop)
	}
	list := &output.Files{}
	err := c.Rows(command.String(), func(row protocol.Row) error {
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
	return list, n.checkWAL(list)
}

// doneFile is the file that keeps the restored server from archiving a segment
// again.
func doneFile(path string) string {
	return "pg_wal/archive_status/" + strings.TrimPrefix(path, "pg_wal/") + ".done"
}
