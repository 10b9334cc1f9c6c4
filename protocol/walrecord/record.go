package walrecord

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/crc"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The header of a record (XLogRecord, access/xlogrecord.h), and what is kept of one.
const (
	recordHeader = 24
	lengthSize   = 4  // of xl_tot_len, the first field
	recordCRC    = 20 // the offset of xl_crc, the last field
	// linkEnd is the end of header, XLR_BLOCK_ID_DATA_SHORT, its length and the first
	// eight bytes of data.
	linkEnd = 34
	// recordPrefix is more than a record has that creates a tablespace, whose path has
	// fewer than 1024 bytes (MAXPGPATH).
	recordPrefix = 1064

	alignment = 8 // MAXALIGN
)

// The kinds of records of the manager XLOG (catalog/pg_control.h), in the upper four
// bits of xl_info.
const (
	kindShutdownCheckpoint = 0x00
	kindCheckpoint         = 0x10
	kindSwitch             = 0x40
	kindBackupEnd          = 0x50
	kindOverwrite          = 0xD0 // XLOG_OVERWRITE_CONTRECORD
)

// Record is the header of a record whose checksum is right.
type Record struct {
	Start protocol.LSN // of its header
	// End is where the next record begins, or the header of a page does behind
	// which it begins; of a record that switches to the next segment, its start.
	End      protocol.LSN
	Previous protocol.LSN // where the record before it starts
	Length   uint32       // xl_tot_len, in bytes
	Manager  uint8        // xl_rmid
	Info     uint8        // xl_info

	// link is the position that the data of a short record of the manager XLOG
	// begins with.
	link protocol.LSN
}

// is reports whether the record is one of the manager XLOG, of that kind.
func (r Record) is(kind uint8) bool { return r.Manager == 0 && r.Info&0xF0 == kind }

// IsCheckpoint reports whether the record is that of a checkpoint.
func (r Record) IsCheckpoint() bool { return r.is(kindCheckpoint) || r.is(kindShutdownCheckpoint) }

// IsShutdown reports whether the record is the checkpoint of a cluster that was shut
// down, behind which it has no WAL.
func (r Record) IsShutdown() bool { return r.is(kindShutdownCheckpoint) }

// piece is a part of a record.
type piece struct {
	start  protocol.LSN // of the record; 0: of a piece that another run begins
	total  int64        // how long it will be; 0: not known yet
	got    int64
	prefix [recordPrefix]byte // its first bytes
	sum    uint32             // of what is behind the header, or of all where the start is not known
}

// add takes bytes that follow in a row.
func (p *piece) add(data []byte) {
	if p.got < recordPrefix {
		copy(p.prefix[p.got:], data)
	}
	header := int64(0)
	if p.start != 0 {
		header = max(0, min(recordHeader-p.got, int64(len(data))))
	}
	p.sum = crc32.Update(p.sum, castagnoli, data[header:])
	p.got += int64(len(data))
}

// join takes the piece that follows, which another run has read.
func (p *piece) join(next *piece) {
	header := max(0, min(recordHeader-p.got, next.got)) // those bytes of next are the header's
	sum := next.sum ^ crc.Shift(crc32.Checksum(next.prefix[:header], castagnoli), next.got-header)
	p.sum = crc.Shift(p.sum, next.got-header) ^ sum
	if p.got < recordPrefix {
		copy(p.prefix[p.got:], next.prefix[:min(next.got, recordPrefix)])
	}
	p.got += next.got
}

// record is the record of a piece that is complete. It reports false where the checksum
// is wrong.
func (p *piece) record(order binary.ByteOrder, end protocol.LSN) (r Record, valid bool) {
	h := p.prefix[:min(p.total, recordPrefix)]
	r.decode(h, order, p.start, end, p.total)
	return r, checksum(p.sum, h) == order.Uint32(h[recordCRC:])
}

// decode decodes a record of the length by its first bytes: recordPrefix of them, unless
// it has fewer. Its last byte is before end.
func (r *Record) decode(b []byte, order binary.ByteOrder, start, end protocol.LSN, length int64) {
	r.Start, r.End, r.Length = start, align(end), uint32(length)
	r.Previous, r.Info, r.Manager = protocol.LSN(order.Uint64(b[8:])), b[16], b[17]
	if r.Manager == 0 && len(b) >= linkEnd && b[recordHeader] == dataShort {
		r.link = protocol.LSN(order.Uint64(b[recordHeader+2:]))
	}
}

// checksum is that of a record, given that of what is behind its header.
func checksum(behind uint32, header []byte) uint32 {
	return crc32.Update(behind, castagnoli, header[:recordCRC])
}

func align(at protocol.LSN) protocol.LSN { return (at + alignment - 1) &^ (alignment - 1) }
