package datadir

import (
	"errors"
	"io"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// longestCheckpoint is an upper limit for the size of a checkpoint record, in bytes. The
// record has 114 today.
const longestCheckpoint = 4096

// recordEnd is the position behind the checkpoint record at lsn, where the next record
// would begin. Of a cluster that was shut down this is the end of the WAL. Where the WAL is
// absent the error is 58P01; where no checkpoint record is at lsn it is XX001.
func (d *Dir) recordEnd(c controlfile.Control, lsn protocol.LSN) (protocol.LSN, error) {
	damaged := protocol.Errorf(protocol.CodeDataCorrupted, "there is no valid checkpoint record at %v", lsn)
	if lsn == 0 {
		return 0, damaged
	}
	size := protocol.LSN(c.WALSegmentSize)
	run := walrecord.NewRun(walrecord.Source{SystemID: c.SystemID, SegmentSize: int64(size), Major: d.major}, lsn-lsn%size, lsn)
	r := walReader{dir: d, control: c}
	defer r.close()
	page := make([]byte, c.WALBlockSize)
	for run.First.Start == 0 && run.Err() == nil && run.Skip() < lsn+longestCheckpoint {
		at := run.Skip()
		piece := page[at%protocol.LSN(len(page)):]
		if err := r.read(piece, at); err != nil {
			return 0, err
		}
		_, _ = run.Write(piece) // Err says it, too
	}
	if run.First.Start != lsn || !run.First.IsCheckpoint() {
		return 0, damaged
	}
	return run.First.End, nil
}

// walReader reads WAL from one segment into the next.
type walReader struct {
	dir     *Dir
	control controlfile.Control

	file  *walFile     // the open segment, or nil
	start protocol.LSN // where it starts
}

// read reads bytes that lie in one segment.
func (r *walReader) read(p []byte, at protocol.LSN) error {
	start := at - at%protocol.LSN(r.control.WALSegmentSize)
	if r.file == nil || r.start != start {
		r.close()
		if err := r.open(start); err != nil {
			return err
		}
	}
	_, err := r.file.fd.ReadAt(p, int64(at-start))
	if errors.Is(err, io.EOF) {
		err = errNotSegment
	}
	return segmentError(r.file.segment, err)
}

// open opens the segment on the checkpoint's timeline. A standby that has followed its
// primary to a later timeline may have the segment on the later timeline only.
func (r *walReader) open(start protocol.LSN) error {
	c := r.control
	f, err := r.dir.openSegment(c, protocol.WALFileName(c.Timeline, start, int64(c.WALSegmentSize)))
	if isGone(err) && c.MinRecoveryTimeline > c.Timeline {
		later, laterErr := r.dir.openSegment(c, protocol.WALFileName(c.MinRecoveryTimeline, start, int64(c.WALSegmentSize)))
		if laterErr == nil {
			f, err = later, nil
		}
	}
	r.file, r.start = f, start
	return err
}

func (r *walReader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}
