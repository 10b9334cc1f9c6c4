package walreader

import (
	"context"
	"errors"
	"io/fs"

	"github.com/pgparallel/pgparallel/protocol"
)

// History is the timeline that a cluster is on, and those that led to it.
type History struct {
	Timeline  protocol.Timeline
	ancestors []protocol.Ancestor // ascending
}

// historian is a cluster with history files (walsender.Historian).
type historian interface {
	TimelineHistory(ctx context.Context, tli protocol.Timeline) (protocol.HistoryFile, error)
}

// ReadHistory reads the history of the timeline that a cluster is on.
func ReadHistory(ctx context.Context, c Cluster) (History, error) {
	system, err := c.Identify(ctx)
	if err != nil {
		return History{}, err
	}
	return readHistory(ctx, c, system.Timeline)
}

// readHistory reads the history file of a timeline. Without one there was no timeline
// before.
func readHistory(ctx context.Context, c Cluster, tli protocol.Timeline) (History, error) {
	h := History{Timeline: tli}
	files, has := c.(historian)
	if !has || tli == 1 {
		return h, nil
	}
	file, err := files.TimelineHistory(ctx, tli)
	if isGone(err) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	for a, err := range protocol.Ancestors(string(file.Content)) {
		if err == nil { // a line that says nothing is passed over
			h.ancestors = append(h.ancestors, a)
		}
	}
	return h, nil
}

// Left tells where a timeline was left, and for which one. It reports false for one that
// does not lead to the cluster's, and for the cluster's own.
func (h History) Left(tli protocol.Timeline) (at protocol.LSN, next protocol.Timeline, ok bool) {
	for i, a := range h.ancestors {
		if a.Timeline != tli {
			continue
		}
		if next = h.Timeline; i+1 < len(h.ancestors) {
			next = h.ancestors[i+1].Timeline
		}
		return a.End, next, true
	}
	return 0, 0, false
}

// At is the timeline that has the byte at a position.
func (h History) At(lsn protocol.LSN) protocol.Timeline {
	for _, a := range h.ancestors {
		if lsn < a.End {
			return a.Timeline
		}
	}
	return h.Timeline
}

// isGone reports whether the error says that a file is not there.
func isGone(err error) bool {
	return protocol.HasCode(err, protocol.CodeUndefinedFile) || errors.Is(err, fs.ErrNotExist)
}
