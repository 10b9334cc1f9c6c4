package walrecord

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
)

// Source is what WAL must be of.
type Source struct {
	SystemID    uint64
	SegmentSize int64 // bytes
	// Major is that of PostgreSQL, from 13 on; 0 means any of those to 19. Of later
	// ones WAL is taken to be as that of 19, but for the magic number of its pages.
	Major int
	// Timeline is the one that the byte at a position is of. Nil means that it does
	// not matter.
	Timeline func(protocol.LSN) protocol.Timeline
}

func (s Source) major() string {
	if s.Major == 0 {
		return fmt.Sprintf("13 to %d", newest)
	}
	return strconv.Itoa(s.Major)
}

// Error says from where on WAL is not what it should be.
type Error struct {
	LSN    protocol.LSN // of the record or the page
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("invalid write-ahead log at %v: %s", e.LSN, e.Reason)
}

// Run is WAL in a row that is being checked. One goroutine uses it. What stands in its
// fields is of the records that are complete.
type Run struct {
	// First is the first record; its Start is 0 until it has been seen. In a run that does
	// not hold the one at start, it is the first that begins there.
	First Record
	// Checkpoint is the record of the checkpoint whose redo position is where the
	// records begin; its Start is 0 until it has been seen.
	Checkpoint Record
	// BackupEnd is the record that ends the backup which starts at that position, on
	// a primary; its Start is 0 until it has been seen.
	BackupEnd Record
	// Directories are of all records up to End.
	Directories Directories

	source Source
	start  protocol.LSN // of the first record of the backup
	visit  func(Record) // for the tests; nil: nobody looks on
	err    error

	begin  protocol.LSN
	at     protocol.LSN // of the byte that comes next
	resume protocol.LSN // nothing that comes before it is looked at

	header     [longPageHeader]byte // of the page that begins
	headerRead int                  // bytes of it that are there
	pageEnd    protocol.LSN
	format     format
	order      binary.ByteOrder
	blockSize  protocol.LSN // of a page; 0: not known yet

	current *piece // what is being read: head, tail or nil
	head    piece  // what the run begins with, where that is not a record's start
	headEnd protocol.LSN
	tail    piece // a record
	// overwritten is where a record begins that was given up, until the one that says
	// so has been read.
	overwritten protocol.LSN
	overwrites  bool // the first page says that what came before it was given up
	last        Record
	end         protocol.LSN // of the last record
}

// NewRun begins a run at begin, where a segment begins. Its records count from start on,
// which is where the first of them is; the runs of later segments find theirs by the
// headers of the pages.
func NewRun(s Source, begin, start protocol.LSN) *Run {
	return &Run{source: s, start: start, begin: begin, at: begin, pageEnd: begin, end: start}
}

// End is the end of the last record, up to which all are valid; start where there is none
// yet. The rest of a segment that a record switches away from belongs to that.
func (r *Run) End() protocol.LSN { return r.end }

// Skip passes over bytes that the run has no use for, as those before the page of the first
// record, and returns the position of the byte that Write takes next.
func (r *Run) Skip() protocol.LSN {
	r.at = max(r.at, r.resume)
	return r.at
}

// Next is the position of the byte that Write takes next.
func (r *Run) Next() protocol.LSN { return r.at }

// Err is the *[Error] that ends the run, or nil. What comes behind it is not looked at:
// it may be where the WAL ends.
func (r *Run) Err() error { return r.err }

// Write takes the bytes that follow. It implements io.Writer; its error is that of Err.
func (r *Run) Write(p []byte) (int, error) {
	for left := p; len(left) > 0 && r.err == nil; {
		left = left[r.take(left):]
	}
	return len(p), r.err
}

func (r *Run) fail(at protocol.LSN, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{at, fmt.Sprintf(format, args...)}
	}
}

// take takes some of the bytes, and says how many.
func (r *Run) take(p []byte) int {
	n := len(p)
	switch {
	case r.at < r.resume:
		n = r.upTo(r.resume, n)
		r.at += protocol.LSN(n)
		return n
	case r.headerRead > 0 || r.at == r.pageEnd:
		return r.takeHeader(p)
	}
	n = r.upTo(r.pageEnd, n)
	if r.current == nil {
		if gap := align(r.at) - r.at; gap > 0 {
			n = min(n, int(gap))
			r.at += protocol.LSN(n)
			return n
		}
		if whole := r.takeWhole(p[:n]); whole > 0 {
			return whole
		}
		r.tail = piece{start: r.at}
		r.current = &r.tail
	}
	return r.takeRecord(p[:n])
}

// upTo is how many of n bytes come before a position.
func (r *Run) upTo(position protocol.LSN, n int) int {
	return int(min(uint64(n), uint64(position-r.at)))
}

// takeWhole takes a record of which all bytes are here, as they mostly are: nothing of it
// must be kept then. It takes nothing of another.
func (r *Run) takeWhole(p []byte) int {
	if len(p) < recordHeader {
		return 0
	}
	total := int64(r.order.Uint32(p))
	if total < recordHeader || total > int64(len(p)) {
		return 0
	}
	p = p[:total]
	sum := checksum(crc32.Checksum(p[recordHeader:], castagnoli), p)
	start := r.at
	r.at += protocol.LSN(total)
	var record Record
	record.decode(p, r.order, start, r.at, total)
	r.complete(&record, p, sum == r.order.Uint32(p[recordCRC:]))
	return int(total)
}

// takeRecord takes bytes of the current piece.
func (r *Run) takeRecord(p []byte) int {
	c := r.current
	left := c.total - c.got
	if c.total == 0 {
		left = lengthSize - c.got
	}
	n := int(min(left, int64(len(p))))
	c.add(p[:n])
	r.at += protocol.LSN(n)
	if c.total == 0 && c.got == lengthSize {
		if c.total = int64(r.order.Uint32(c.prefix[:])); c.total < recordHeader {
			r.fail(c.start, "invalid record length %d", c.total)
		}
	}
	if c.got == c.total {
		r.current = nil
		if c == &r.tail {
			r.completePiece(r.at)
		} else {
			r.headEnd = r.at
		}
	}
	return n
}

// completePiece takes the record of the tail, whose last byte is before end.
func (r *Run) completePiece(end protocol.LSN) {
	record, valid := r.tail.record(r.order, end)
	r.complete(&record, r.tail.prefix[:min(r.tail.total, recordPrefix)], valid)
}

// complete takes a record, its first bytes, and whether its checksum is right.
func (r *Run) complete(record *Record, first []byte, valid bool) {
	if !valid {
		r.fail(record.Start, "incorrect checksum of the record")
		return
	}
	if !r.follows(record) {
		return
	}
	if r.First.Start == 0 {
		r.First = *record
	}
	r.overwritten = 0
	switch {
	case record.Manager != 0: // as most
	case record.is(kindSwitch):
		record.End = r.segmentEnd(record.End)
		r.skipTo(record.End)
	case record.IsCheckpoint() && record.link == r.start:
		r.Checkpoint = *record
	case record.is(kindBackupEnd) && record.link == r.start:
		r.BackupEnd = *record
	}
	r.Directories.add(record, r.format, r.order, first)
	r.last, r.end = *record, record.End
	if r.visit != nil {
		r.visit(*record)
	}
}

// follows makes sure that a record is the one behind those before it.
func (r *Run) follows(record *Record) bool {
	switch {
	case r.last.Start != 0 && record.Previous != r.last.Start:
		r.fail(record.Start, "the record follows one at %v, not the one at %v", record.Previous, r.last.Start)
	case r.overwritten != 0 && (!record.is(kindOverwrite) || record.link != r.overwritten):
		r.fail(record.Start, "the record at %v is not complete", r.overwritten)
	}
	return r.err == nil
}

// segmentEnd is the first boundary of segments that is not before a position.
func (r *Run) segmentEnd(at protocol.LSN) protocol.LSN {
	size := protocol.LSN(r.source.SegmentSize)
	return (at + size - 1) / size * size
}

// skipTo goes on at a page's start.
func (r *Run) skipTo(page protocol.LSN) {
	r.resume, r.pageEnd = page, page
}

// takeHeader takes bytes of the header of a page.
func (r *Run) takeHeader(p []byte) int {
	size := shortPageHeader
	start := r.at - protocol.LSN(r.headerRead)
	if start%protocol.LSN(r.source.SegmentSize) == 0 {
		size = longPageHeader
	}
	n := copy(r.header[r.headerRead:size], p)
	r.headerRead += n
	r.at += protocol.LSN(n)
	if r.headerRead == size {
		r.headerRead = 0
		r.beginPage(start, r.header[:size])
	}
	return n
}

func (r *Run) beginPage(start protocol.LSN, header []byte) {
	if err := r.checkPage(start, header); err != nil {
		r.fail(start, "%v", err)
		return
	}
	r.pageEnd = start + r.blockSize
	h := decodePageHeader(header, r.order)
	if r.start >= start { // the backup begins in this page, or in a later one
		switch page := r.start - r.start%r.blockSize; {
		case page > start:
			r.skipTo(page)
		case r.start == start+protocol.LSN(len(header)) && h.info&pageContinues != 0:
			r.fail(start, "the page continues a record where the first one should begin")
		default:
			r.resume = r.start
		}
		return
	}
	if err := r.continueRecord(start, h); err != nil {
		r.fail(start, "%v", err)
	}
}

// checkPage makes sure that a page belongs where it is.
func (r *Run) checkPage(start protocol.LSN, header []byte) error {
	known := true
	if r.order == nil {
		r.format, r.order, known = formatOf(r.source.Major, header, start)
	}
	if !known || r.order.Uint16(header) != r.format.magic {
		return fmt.Errorf("invalid magic number %02X%02X of the page, which should be one of PostgreSQL %s", header[1], header[0], r.source.major())
	}
	h := decodePageHeader(header, r.order)
	if len(header) == longPageHeader {
		if err := h.checkLong(r.source); err != nil {
			return err
		}
		if size := protocol.LSN(h.blockSize); r.blockSize == 0 {
			r.blockSize = size
		} else if size != r.blockSize {
			return fmt.Errorf("its pages have %d bytes, not %d", size, r.blockSize)
		}
	}
	if h.address != start {
		return fmt.Errorf("the page is the one of %v", h.address)
	}
	if r.source.Timeline == nil {
		return nil
	}
	// A page before the first record may be of an older timeline: its copy is what
	// the segment of the next one begins with.
	want := r.source.Timeline(start)
	if h.timeline != want && (start > r.start || h.timeline > want) {
		return fmt.Errorf("the page is of timeline %d, not %d", h.timeline, want)
	}
	return nil
}

// continueRecord holds what a page says about the record that lies across its start
// against what is known of it.
func (r *Run) continueRecord(start protocol.LSN, h pageHeader) error {
	continues, left := h.info&pageContinues != 0, int64(h.remaining)
	overwrites := h.info&r.format.overwrites != 0
	switch c := r.current; {
	case continues && overwrites:
		return fmt.Errorf("the page both continues a record and overwrites it")
	case start == r.begin && continues: // what it continues another run has
		if left == 0 {
			return fmt.Errorf("the page continues a record that has no bytes left")
		}
		r.head = piece{total: left}
		r.current = &r.head
	case start == r.begin:
		r.overwrites = overwrites
	case c == nil && continues:
		return fmt.Errorf("the page continues a record that there is not")
	case c == nil:
	case overwrites:
		r.giveUp()
	case !continues || left != c.total-c.got:
		return fmt.Errorf("the page does not continue the record before it")
	}
	return nil
}

// giveUp forgets the current piece, which a page overwrites that a server wrote after a
// crash.
func (r *Run) giveUp() {
	if r.current == &r.tail {
		r.overwritten = r.tail.start
	}
	r.current = nil
}
