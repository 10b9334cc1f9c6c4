package datadir

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pgparallel/pgparallel/protocol"
)

// A WAL record begins with a header (XLogRecord, access/xlogrecord.h).
const (
	recordHeader    = 24 // bytes
	recordManager   = 17 // offset of xl_rmid; 0 is the manager of checkpoints
	recordChecksum  = 20 // offset of xl_crc
	recordAlignment = 8  // MAXALIGN

	// longestCheckpoint is more than a checkpoint record will ever have, in
	// bytes; it has 114.
	longestCheckpoint = 4096
)

// recordEnd is the position after the checkpoint record at lsn, where the next
// record would begin: for a cluster that was shut down, the end of its WAL. WAL
// that is not there is 58P01, a record that is none XX001.
func (d *Dir) recordEnd(c Control, lsn protocol.LSN) (protocol.LSN, error) {
	damaged := protocol.Errorf(protocol.CodeDataCorrupted, "there is no valid checkpoint record at %v", lsn)
	if lsn == 0 || lsn%recordAlignment != 0 {
		return 0, damaged
	}
	r := walReader{dir: d, control: c, at: lsn}
	defer r.close()
	header, err := r.next(recordHeader)
	if err != nil {
		return 0, err
	}
	total := binary.NativeEndian.Uint32(header)
	if total <= recordHeader || total > longestCheckpoint || header[recordManager] != 0 {
		return 0, damaged
	}
	rest, err := r.next(int(total) - recordHeader)
	if err != nil {
		return 0, err
	}
	sum := crc32.Update(crc32.Checksum(rest, castagnoli), castagnoli, header[:recordChecksum])
	if sum != binary.NativeEndian.Uint32(header[recordChecksum:]) {
		return 0, damaged
	}
	return (r.at + recordAlignment - 1) / recordAlignment * recordAlignment, nil
}

// walReader reads the bytes of records, stepping over the headers of pages, from
// one segment into the next.
type walReader struct {
	dir     *Dir
	control Control
	at      protocol.LSN

	file  *walFile     // the open segment, or nil
	start protocol.LSN // where it starts
}

// next reads n bytes of records.
func (r *walReader) next(n int) ([]byte, error) {
	out := make([]byte, n)
	for done := 0; done < n; {
		r.skipHeader()
		page := protocol.LSN(r.control.WALBlockSize)
		piece := min(n-done, int(page-r.at%page))
		if err := r.read(out[done : done+piece]); err != nil {
			return nil, err
		}
		done += piece
		r.at += protocol.LSN(piece)
	}
	return out, nil
}

// skipHeader steps over the header of a page, at its start.
func (r *walReader) skipHeader() {
	switch {
	case r.at%protocol.LSN(r.control.WALSegmentSize) == 0:
		r.at += longPageHeader
	case r.at%protocol.LSN(r.control.WALBlockSize) == 0:
		r.at += shortPageHeader
	}
}

// read reads from the segment that holds the current position.
func (r *walReader) read(p []byte) error {
	start := r.at - r.at%protocol.LSN(r.control.WALSegmentSize)
	if r.file == nil || r.start != start {
		r.close()
		if err := r.open(start); err != nil {
			return err
		}
	}
	_, err := r.file.fd.ReadAt(p, int64(r.at-start))
	return segmentError(r.file.segment, err)
}

// open opens the segment on the checkpoint's timeline. A standby that followed its
// primary to the next one may have it only there, copied.
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
