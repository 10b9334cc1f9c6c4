package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// checkpointRecord is more than the record of a checkpoint takes, in bytes.
const checkpointRecord = 1024

// position is where a segment begins in the WAL. History files come after all of them.
func (a *archive) position(f protocol.File) protocol.LSN {
	name := strings.TrimPrefix(f.Path, "pg_wal/")
	if _, at, ok := protocol.ParseWALFileName(name, int64(a.control.WALSegmentSize)); ok {
		return at
	}
	return math.MaxUint64
}

// isNeeded reports whether a file of pg_wal is a history file, or a segment that begins
// before the WAL ends. Those that begin later are old ones, renamed for the time to come.
func (a *archive) isNeeded(f protocol.File) bool {
	return protocol.IsHistoryFileName(strings.TrimPrefix(f.Path, "pg_wal/")) ||
		a.position(f) < a.control.Checkpoint+checkpointRecord
}

// checkWAL makes sure that the WAL has no gap, and holds the checkpoint from which a
// copy starts.
func (a *archive) checkWAL() error {
	for i, f := range a.wal {
		if at := a.position(f); i > 0 && at < math.MaxUint64 && at > a.position(a.wal[i-1])+a.segmentSize() {
			return fmt.Errorf("WAL is missing before %s", f.Path)
		}
	}
	return a.checkRange(a.control.Redo, a.control.Checkpoint+1)
}

// checkRange is 58P01 where the archive has not all of [start, end), 0 being no bound.
func (a *archive) checkRange(start, end protocol.LSN) error {
	first, behind := protocol.LSN(math.MaxUint64), protocol.LSN(0)
	for _, f := range a.wal {
		if at := a.position(f); at < math.MaxUint64 {
			first, behind = min(first, at), at+a.segmentSize()
		}
	}
	missing := start
	switch {
	case end != 0 && start > end:
		return protocol.Errorf(protocol.CodeInvalidParameterValue, "the WAL range begins at %v, after its end at %v", start, end)
	case start != 0 && start < first, start >= behind:
	case end > behind:
		missing = behind
	default:
		return nil
	}
	name := protocol.WALFileName(a.control.Timeline, missing, int64(a.segmentSize()))
	return protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment %s has already been removed", name)
}

func (a *archive) segmentSize() protocol.LSN { return protocol.LSN(a.control.WALSegmentSize) }

// WALFiles lists the segments that hold bytes of [start, end), then the history files.
func (a *archive) WALFiles(_ context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		if err := a.checkRange(start, end); err != nil {
			yield(protocol.File{}, err)
			return
		}
		for _, f := range a.wal {
			at := a.position(f)
			isSegment := at < math.MaxUint64
			if isSegment && (at+a.segmentSize() <= start || end != 0 && at >= end) {
				continue
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}
