package basebackup

import (
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// SplitRange divides a range that ends on its timeline and starts on another by the
// history: the newest timeline comes first.
func SplitRange(last manifest.WALRange, from protocol.Timeline, history string) ([]manifest.WALRange, error) {
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
