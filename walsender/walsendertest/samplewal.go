package walsendertest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// The formats are those of access/xlog_internal.h and access/xlogrecord.h.
const (
	walPage          = 8192
	shortHeader      = 24 // of a page, aligned
	longHeader       = 40 // of a segment's first page
	recordHeader     = 24
	checkpointRecord = 114 // with the header
	dataShort        = 255 // XLR_BLOCK_ID_DATA_SHORT: a length of one byte follows
	infoSwitch       = 0x40
	infoCheckpoint   = 0x00 // of a shutdown
	infoBackupEnd    = 0x50
	backupEndRecord  = 34
)

// switchLSN is the position of the first record, which switches to segment 2.
func (s Sample) switchLSN() protocol.LSN { return s.segmentStart(1) + longHeader }

// checkpointLSN is the position of the checkpoint record.
func (s Sample) checkpointLSN() protocol.LSN { return s.segmentStart(2) + longHeader }

// checkpointEnd is where the checkpoint record ends, aligned to 8 bytes.
func (s Sample) checkpointEnd() protocol.LSN { return s.checkpointLSN() + (checkpointRecord+7)&^7 }

// endLSN is the end of the WAL: of the checkpoint, or of the backup that a cluster which
// runs has begun with it.
func (s Sample) endLSN() protocol.LSN {
	if s.State == controlfile.StateInProduction {
		return s.checkpointEnd() + (backupEndRecord+7)&^7
	}
	return s.checkpointEnd()
}

func (s Sample) segmentStart(number int) protocol.LSN {
	return protocol.LSN(number) * protocol.LSN(s.WALSegmentSize)
}

// previousTimeline is the one of segment 1.
func (s Sample) previousTimeline() protocol.Timeline { return max(s.Timeline-1, 1) }

func (s Sample) writeWAL(w tree) {
	first := s.segmentName(s.previousTimeline(), 1)
	s.writeSegment(w, first, s.previousTimeline(), 1, s.switchRecord(), true)
	records := s.checkpointRecord()
	if s.State == controlfile.StateInProduction {
		records = append(records, make([]byte, s.checkpointEnd()-s.checkpointLSN()-checkpointRecord)...)
		records = append(records, s.backupEndRecord()...)
	}
	s.writeSegment(w, s.segmentName(s.Timeline, 2), s.Timeline, 2, records, false)
	w.file("pg_wal/archive_status/"+first+".done", nil)
	if s.RecycledSegment {
		s.writeSegment(w, s.segmentName(s.Timeline, 3), s.previousTimeline(), 1, s.switchRecord(), true)
	}
	for tli := protocol.Timeline(2); tli <= s.Timeline; tli++ {
		w.file(fmt.Sprintf("pg_wal/%08X.history", tli), s.history(tli))
	}
}

// segmentName is PostgreSQL's XLogFileName.
func (s Sample) segmentName(tli protocol.Timeline, number int) string {
	perID := 1 << 32 / s.WALSegmentSize
	return fmt.Sprintf("%08X%08X%08X", tli, number/perID, number%perID)
}

// history is the file of a timeline. All but the checkpoint's were left where
// segment 1 begins.
func (s Sample) history(tli protocol.Timeline) []byte {
	var text []byte
	for parent := protocol.Timeline(1); parent < tli; parent++ {
		left := s.segmentStart(1)
		if parent == s.previousTimeline() {
			left = s.segmentStart(2)
		}
		text = fmt.Appendf(text, "%d\t%v\tno recovery target specified\n", parent, left)
	}
	return text
}

// writeSegment writes a segment with one record, after the header of its first
// page. After a switch the other pages have headers and nothing else; the pages
// that are not yet reached are zeros, and take no room on disk.
func (s Sample) writeSegment(w tree, name string, tli protocol.Timeline, number int, record []byte, headers bool) {
	start := s.segmentStart(number)
	used := walPage
	if headers {
		used = s.WALSegmentSize
	}
	w.generate("pg_wal/"+name, content{size: int64(s.WALSegmentSize), used: int64(used), page: func(buf []byte, number int64) {
		page := s.pageHeader(tli, start+protocol.LSN(number)*walPage)
		if number == 0 {
			page = append(page, record...)
		}
		clear(buf[copy(buf, page):])
	}})
}

// pageHeader is the header of the WAL page at a position: XLogPageHeaderData, at
// a segment's start XLogLongPageHeaderData.
func (s Sample) pageHeader(tli protocol.Timeline, at protocol.LSN) []byte {
	const infoLong = 0x0002
	long := at%protocol.LSN(s.WALSegmentSize) == 0
	header := make([]byte, shortHeader, longHeader)
	binary.NativeEndian.PutUint16(header[0:], walMagics[s.Version])
	if long {
		binary.NativeEndian.PutUint16(header[2:], infoLong)
	}
	binary.NativeEndian.PutUint32(header[4:], uint32(tli))
	binary.NativeEndian.PutUint64(header[8:], uint64(at))
	if long {
		header = binary.NativeEndian.AppendUint64(header, s.SystemID)
		header = binary.NativeEndian.AppendUint32(header, uint32(s.WALSegmentSize))
		header = binary.NativeEndian.AppendUint32(header, walPage)
	}
	return header
}

func (s Sample) switchRecord() []byte { return walRecord(infoSwitch, 0, nil) }

// checkpointRecord holds the part of pg_control that is the checkpoint's.
func (s Sample) checkpointRecord() []byte {
	const (
		inControl = 40 // where pg_control has it
		size      = 88
	)
	checkpoint := s.control().Encode()[inControl:][:size]
	return walRecord(infoCheckpoint, s.switchLSN(), append([]byte{dataShort, size}, checkpoint...))
}

// backupEndRecord holds where the backup has begun.
func (s Sample) backupEndRecord() []byte {
	data := binary.NativeEndian.AppendUint64([]byte{dataShort, 8}, uint64(s.checkpointLSN()))
	return walRecord(infoBackupEnd, s.checkpointLSN(), data)
}

// walRecord is a record of the resource manager XLOG, which is number 0. Its CRC
// covers the data before the header.
func walRecord(info byte, previous protocol.LSN, data []byte) []byte {
	record := make([]byte, recordHeader, recordHeader+len(data))
	binary.NativeEndian.PutUint32(record[0:], uint32(recordHeader+len(data)))
	binary.NativeEndian.PutUint64(record[8:], uint64(previous))
	record[16] = info
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, record[:20])
	binary.NativeEndian.PutUint32(record[20:], crc)
	return append(record, data...)
}
