package walstream

import (
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// Lineage is the timelines that lead to a position, the oldest first. Each ends
// where the next begins.
type Lineage []Branch

// Branch is a timeline, and where it begins.
type Branch struct {
	Timeline protocol.Timeline
	Begin    protocol.LSN
}

// ParseHistory is the lineage of a timeline by the content of its history file, which is
// empty for a timeline without ancestors. The timelines have to ascend.
func ParseHistory(tli protocol.Timeline, content string) (Lineage, error) {
	var l Lineage
	var begin protocol.LSN
	add := func(tli protocol.Timeline) error {
		if n := len(l); n > 0 && (l[n-1].Timeline >= tli || l[n-1].Begin > begin) {
			return fmt.Errorf("invalid data in history file of timeline %d: timelines are not in ascending order", tli)
		}
		l = append(l, Branch{tli, begin})
		return nil
	}
	for a, err := range protocol.Ancestors(content) {
		if err != nil {
			return nil, fmt.Errorf("syntax error in history file of timeline %d: %w", tli, err)
		}
		if err := add(a.Timeline); err != nil {
			return nil, err
		}
		begin = a.End
	}
	return l, add(tli)
}

// At is the timeline that holds the byte before end.
func (l Lineage) At(end protocol.LSN) protocol.Timeline {
	tli := l[0].Timeline
	for _, t := range l[1:] {
		if t.Begin < end {
			tli = t.Timeline
		}
	}
	return tli
}

// Ranges is the WAL of [start, stop), which begins on timeline tli, as a manifest
// names it: the newest timeline first.
func (l Lineage) Ranges(tli protocol.Timeline, start, stop protocol.LSN) ([]manifest.WALRange, error) {
	var ranges []manifest.WALRange
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].Timeline == tli {
			return append(ranges, manifest.WALRange{Timeline: tli, Start: start, End: stop}), nil
		}
		ranges = append(ranges, manifest.WALRange{Timeline: l[i].Timeline, Start: l[i].Begin, End: stop})
		stop = l[i].Begin
	}
	return nil, fmt.Errorf("timeline %d of the backup's start is not in the history of timeline %d", tli, l[len(l)-1].Timeline)
}
