package walrecord

import (
	"encoding/binary"
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
)

// The headers of pages (access/xlog_internal.h), in bytes. The long one is at the start
// of a segment.
const (
	shortPageHeader = 24
	longPageHeader  = 40
)

// Flags in xlp_info.
const (
	pageContinues  = 0x0001 // XLP_FIRST_IS_CONTRECORD
	pageLongHeader = 0x0002 // XLP_LONG_HEADER
)

// format is what a major version of PostgreSQL has of its own.
type format struct {
	magic uint16 // XLOG_PAGE_MAGIC
	// overwrites is XLP_FIRST_IS_OVERWRITE_CONTRECORD: the record that the page
	// before begins was given up in a crash.
	overwrites uint16
	// copiesDatabases says that a database is always created by copying files.
	copiesDatabases bool
}

var formats = map[int]format{
	13: {0xD106, 0x0008, true},
	14: {0xD10D, 0x0008, true},
	15: {0xD110, 0x0008, false},
	16: {0xD113, 0x0008, false},
	17: {0xD116, 0x0008, false},
	18: {0xD118, 0x0008, false},
	19: {0xD122, 0x0004, false},
}

// newest is the newest major version that is known.
const newest = 19

// formatOf finds the format, and the byte order, of the page at a position by its header.
// Where a major version is given, only that will do. Of one that comes after the newest
// no magic number is known: all else is taken to be as it was.
func formatOf(major int, header []byte, start protocol.LSN) (format, binary.ByteOrder, bool) {
	for version, f := range formats {
		if major != 0 && major != version {
			continue
		}
		for _, order := range byteOrders {
			if order.Uint16(header) == f.magic {
				return f, order, true
			}
		}
	}
	for _, order := range byteOrders {
		if major > newest && decodePageHeader(header, order).address == start {
			f := formats[newest]
			f.magic = order.Uint16(header)
			return f, order, true
		}
	}
	return format{}, nil, false
}

var byteOrders = []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}

// pageHeader is XLogPageHeaderData, and what the long one adds.
type pageHeader struct {
	info      uint16
	timeline  protocol.Timeline
	address   protocol.LSN
	remaining uint32 // of the record that the page continues

	systemID    uint64
	segmentSize uint32
	blockSize   uint32
}

// decodePageHeader decodes a header, which is a long one if it has the length.
func decodePageHeader(b []byte, order binary.ByteOrder) pageHeader {
	h := pageHeader{
		info:      order.Uint16(b[2:]),
		timeline:  protocol.Timeline(order.Uint32(b[4:])),
		address:   protocol.LSN(order.Uint64(b[8:])),
		remaining: order.Uint32(b[16:]),
	}
	if len(b) == longPageHeader {
		h.systemID, h.segmentSize, h.blockSize = order.Uint64(b[24:]), order.Uint32(b[32:]), order.Uint32(b[36:])
	}
	return h
}

// checkLong holds what only the first page of a segment says against the source.
func (h pageHeader) checkLong(s Source) error {
	switch {
	case h.info&pageLongHeader == 0:
		return fmt.Errorf("the first page of a segment has no long header")
	case h.systemID != s.SystemID:
		return fmt.Errorf("it is of another system: its identifier is %d, not %d", h.systemID, s.SystemID)
	case int64(h.segmentSize) != s.SegmentSize:
		return fmt.Errorf("its segments have %d bytes, not %d", h.segmentSize, s.SegmentSize)
	case h.blockSize < 1<<10 || h.blockSize > 64<<10 || h.blockSize&(h.blockSize-1) != 0:
		return fmt.Errorf("invalid page size %d", h.blockSize)
	}
	return nil
}
