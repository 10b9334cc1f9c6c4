// Package walrecordtest makes write-ahead log for tests: pages and records as PostgreSQL
// writes them, that say nothing but what a base backup looks for.
package walrecordtest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/pgparallel/pgparallel/protocol"
)

const (
	page         = 8192
	shortHeader  = 24
	longHeader   = 40
	recordHeader = 24
)

// magics are those of the pages, by major version of PostgreSQL.
var magics = map[int]uint16{13: 0xD106, 14: 0xD10D, 15: 0xD110, 16: 0xD113, 17: 0xD116, 18: 0xD118, 19: 0xD122}

// Log is write-ahead log that grows, in the byte order little-endian.
type Log struct {
	Major       int // of PostgreSQL
	SystemID    uint64
	SegmentSize int64
	Timeline    protocol.Timeline // of the pages that are still to begin

	begin    protocol.LSN // of the segment that the log begins in
	content  []byte       // from there on
	previous protocol.LSN // where the last record starts
}

// New makes a log whose first record is added at begin, which is not in the header of a
// page, or behind that.
func New(major int, systemID uint64, segmentSize int64, tli protocol.Timeline, begin protocol.LSN) *Log {
	l := &Log{Major: major, SystemID: systemID, SegmentSize: segmentSize, Timeline: tli, begin: begin - begin%protocol.LSN(segmentSize)}
	for l.End() < begin {
		if l.End()%page == 0 {
			l.beginPage(0)
			continue
		}
		l.content = append(l.content, 0)
	}
	return l
}

// End is where the next record goes.
func (l *Log) End() protocol.LSN { return l.begin + protocol.LSN(len(l.content)) }

// Branch is a copy that goes on as another timeline.
func (l *Log) Branch(tli protocol.Timeline) *Log {
	branch := *l
	branch.content, branch.Timeline = append([]byte(nil), l.content...), tli
	return &branch
}

// Segment is the segment that begins at a position, with zeros behind the log's end.
func (l *Log) Segment(begin protocol.LSN) string {
	segment := make([]byte, l.SegmentSize)
	if begin < l.End() {
		copy(segment, l.content[begin-l.begin:])
	}
	return string(segment)
}

// Add adds a record, and returns where it starts.
func (l *Log) Add(manager, info uint8, data []byte) (start protocol.LSN) {
	record := make([]byte, recordHeader, recordHeader+len(data))
	if l.End()%page == 0 {
		l.beginPage(0)
	}
	start = l.End()
	binary.LittleEndian.PutUint32(record, uint32(recordHeader+len(data)))
	binary.LittleEndian.PutUint64(record[8:], uint64(l.previous))
	record[16], record[17] = info, manager
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(record[20:], crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, record[:20]))
	l.put(append(record, data...))
	l.previous = start
	l.content = append(l.content, make([]byte, -len(l.content)&7)...)
	return start
}

// Checkpoint adds the record of a checkpoint.
func (l *Log) Checkpoint(redo protocol.LSN) (start protocol.LSN) {
	return l.Add(0, 0x10, withPosition(redo, 88))
}

// Shutdown adds the record of the checkpoint of a shutdown.
func (l *Log) Shutdown() (start protocol.LSN) {
	if l.End()%page == 0 {
		l.beginPage(0)
	}
	return l.Add(0, 0x00, withPosition(l.End(), 88))
}

// BackupEnd adds the record that ends the backup of a primary.
func (l *Log) BackupEnd(start protocol.LSN) { l.Add(0, 0x50, withPosition(start, 8)) }

// Switch adds the record that leaves the rest of the segment empty.
func (l *Log) Switch() {
	l.Add(0, 0x40, nil)
	for l.End()%protocol.LSN(l.SegmentSize) != 0 {
		l.content = append(l.content, 0)
	}
}

// FillTo adds records of which the last one ends at a position, a multiple of 8 that is
// not in the header of a page.
func (l *Log) FillTo(end protocol.LSN) {
	for {
		room := l.room(end)
		switch {
		case room == 0:
			return
		case room < recordHeader:
			panic(fmt.Sprintf("%d bytes from %v to %v are too few for a record", room, l.End(), end))
		case room > 4096:
			room = 2048
		}
		l.Add(0, 0x20, make([]byte, room-recordHeader))
	}
}

// room is how many bytes of records fit before end.
func (l *Log) room(end protocol.LSN) int {
	room := 0
	for at := l.End(); at < end; {
		if at%page == 0 {
			at += l.headerSize(at)
			continue
		}
		next := min(end, at-at%page+page)
		room += int(next - at)
		at = next
	}
	return room
}

func (l *Log) headerSize(at protocol.LSN) protocol.LSN {
	if at%protocol.LSN(l.SegmentSize) == 0 {
		return longHeader
	}
	return shortHeader
}

// put writes bytes of a record over as many pages as it takes.
func (l *Log) put(b []byte) {
	for len(b) > 0 {
		if l.End()%page == 0 {
			l.beginPage(len(b))
		}
		n := min(len(b), int(page-l.End()%page))
		l.content, b = append(l.content, b[:n]...), b[n:]
	}
}

// beginPage writes the header of a page that continues a record of which so many bytes
// are left.
func (l *Log) beginPage(left int) {
	at := l.End()
	header := make([]byte, l.headerSize(at))
	binary.LittleEndian.PutUint16(header, magics[l.Major])
	info := uint16(0)
	if left > 0 {
		info |= 1
	}
	if len(header) == longHeader {
		info |= 2
		binary.LittleEndian.PutUint64(header[24:], l.SystemID)
		binary.LittleEndian.PutUint32(header[32:], uint32(l.SegmentSize))
		binary.LittleEndian.PutUint32(header[36:], page)
	}
	binary.LittleEndian.PutUint16(header[2:], info)
	binary.LittleEndian.PutUint32(header[4:], uint32(l.Timeline))
	binary.LittleEndian.PutUint64(header[8:], uint64(at))
	binary.LittleEndian.PutUint32(header[16:], uint32(left))
	l.content = append(l.content, header...)
}

// withPosition is the data of a record: of so many bytes, of which the first eight are a
// position.
func withPosition(at protocol.LSN, size uint8) []byte {
	const dataShort = 255
	data := binary.LittleEndian.AppendUint64([]byte{dataShort, size}, uint64(at))
	return append(data, make([]byte, size-8)...)
}
