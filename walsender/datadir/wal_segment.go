package datadir

import (
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// errNotSegment says that the content of a file does not belong to its name.
var errNotSegment = errors.New("not the WAL segment of that name")

// The sizes of WAL page headers (access/xlog_internal.h), in bytes. The long header is at
// the start of a segment.
const (
	shortPageHeader = 24
	longPageHeader  = 40

	longHeaderFlag = 0x0002 // XLP_LONG_HEADER in xlp_info
)

// statSegment returns the status of a file of pg_wal. The error is errNotSegment where the
// content does not belong to the name.
func statSegment(wal beneath.Dir, name string, c controlfile.Control) (unix.Stat_t, error) {
	fd, st, err := wal.Open(name)
	switch {
	case errors.Is(err, unix.EISDIR), errors.Is(err, beneath.ErrSpecial):
		return st, errNotSegment
	case err != nil:
		return st, err
	}
	defer fd.Close()
	return st, checkSegment(wal, fd, st, name, c)
}

// checkSegment compares the size and the first page header of an open segment with its
// name. Page headers of every version are accepted (xlp_magic). A recycled segment still
// has the address of its former place; a segment allocated in advance has zeros.
func checkSegment(wal beneath.Dir, fd beneath.File, st unix.Stat_t, name string, c controlfile.Control) error {
	if st.Size != int64(c.WALSegmentSize) {
		return errNotSegment
	}
	var header [longPageHeader]byte
	if _, err := fd.ReadAt(header[:], 0); errors.Is(err, io.EOF) {
		return errNotSegment
	} else if err != nil {
		return err
	}
	timeline, start, _ := protocol.ParseWALFileName(name, int64(c.WALSegmentSize))
	h := decodePageHeader(header)
	valid := h.magic != 0 && h.info&longHeaderFlag != 0 && h.address == start &&
		h.systemID == c.SystemID && h.segmentSize == c.WALSegmentSize
	switch {
	case !valid:
		return errNotSegment
	case h.timeline == timeline:
		return nil
	}
	return checkBranch(wal, h.timeline, timeline, start, c)
}

// checkBranch accepts the segment in which a timeline begins. The first pages of such a
// segment are a copy of the parent's, with the parent's timeline. The history file tells
// whether the timeline began there. Without a history file the segment is accepted.
func checkBranch(wal beneath.Dir, parent, timeline protocol.Timeline, start protocol.LSN, c controlfile.Control) error {
	if parent == 0 || parent > timeline {
		return errNotSegment
	}
	history, _, err := wal.Read(protocol.HistoryFileName(timeline), historyLimit)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	}
	for a, err := range protocol.Ancestors(string(history)) {
		if err == nil && a.Timeline == parent && a.End > start && a.End < start+protocol.LSN(c.WALSegmentSize) {
			return nil
		}
	}
	return errNotSegment
}

// pageHeader is the header of a segment's first page (XLogLongPageHeaderData).
type pageHeader struct {
	magic, info uint16
	timeline    protocol.Timeline
	address     protocol.LSN
	systemID    uint64
	segmentSize uint32
}

func decodePageHeader(b [longPageHeader]byte) pageHeader {
	order := binary.NativeEndian
	return pageHeader{
		magic:       order.Uint16(b[0:]),
		info:        order.Uint16(b[2:]),
		timeline:    protocol.Timeline(order.Uint32(b[4:])),
		address:     protocol.LSN(order.Uint64(b[8:])),
		systemID:    order.Uint64(b[24:]),
		segmentSize: order.Uint32(b[32:]),
	}
}

// segmentError is the answer where a segment cannot be used; nil for nil.
func segmentError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotSegment), errors.Is(err, unix.ENOENT):
		return removed(name)
	}
	return ioError("read file", walDirectory+"/"+name, err)
}

// removed is the answer where WAL was removed, or never existed.
func removed(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment %s has already been removed", name)
}

// isGone reports whether the error says that a file does not exist.
func isGone(err error) bool {
	return protocol.HasCode(err, protocol.CodeUndefinedFile)
}
