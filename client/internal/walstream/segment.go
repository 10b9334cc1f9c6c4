package walstream

import (
	"io"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// segment is a segment that is being received.
type segment struct {
	file  output.File
	entry output.Entry
	left  int64 // bytes that are still to come
}

// write writes WAL into the segments that it belongs to, and returns up to where it is
// on disk, 0 where this has not changed.
func (s *Stream) write(begin protocol.LSN, data []byte, tli protocol.Timeline) (flushed protocol.LSN, err error) {
	for len(data) > 0 {
		if s.segment == nil {
			if err := s.createSegment(begin, tli); err != nil {
				return flushed, err
			}
		}
		n := min(len(data), int(s.segment.left))
		if _, err := s.segment.entry.Add(data[:n]); err != nil {
			return flushed, err
		}
		s.segment.left -= int64(n)
		begin, data = begin+protocol.LSN(n), data[n:]
		if s.segment.left == 0 {
			if err := s.finishSegment(); err != nil {
				return flushed, err
			}
			flushed = begin
		}
	}
	return flushed, nil
}

func (s *Stream) createSegment(begin protocol.LSN, tli protocol.Timeline) error {
	f := output.File{
		Path: "pg_wal/" + protocol.WALFileName(tli, begin, s.config.Source.SegmentSize),
		Size: s.config.Source.SegmentSize, ModTime: time.Now().Unix(),
	}
	e, err := s.sink.Create(&f, f.Path)
	if err != nil {
		return err
	}
	s.segment = &segment{file: f, entry: e, left: s.config.Source.SegmentSize}
	return nil
}

// finishSegment fills what is missing of the segment with zeros, and completes it.
func (s *Stream) finishSegment() error {
	if s.segment == nil {
		return nil
	}
	segment := s.segment
	for zeros := make([]byte, min(segment.left, 128<<10)); segment.left > 0; segment.left -= int64(len(zeros)) {
		zeros = zeros[:min(segment.left, int64(len(zeros)))]
		if _, err := segment.entry.Add(zeros); err != nil {
			return err
		}
	}
	s.segment = nil
	if err := segment.entry.Finish(io.Discard); err != nil {
		return err
	}
	s.files.Add(segment.file)
	return nil
}

// closeSegment gives up a segment that is not complete.
func (s *Stream) closeSegment() {
	if s.segment != nil {
		_ = s.segment.entry.Discard() // the backup has failed, for another reason
		s.segment = nil
	}
}
