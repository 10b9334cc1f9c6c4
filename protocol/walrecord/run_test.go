package walrecord

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
)

const testStart = 0x100028

var testSource = Source{SystemID: 7, SegmentSize: testSegment, Major: 15, Timeline: func(protocol.LSN) protocol.Timeline { return 1 }}

// testLog is a backup's WAL over three segments.
func testLog() *walrecordtest.Log {
	l := walrecordtest.New(15, 7, testSegment, 1, testStart)
	l.FillTo(0x102000)
	l.FillTo(0x140100)
	l.Checkpoint(testStart)
	l.Add(0, 0x20, make([]byte, 1500000)) // over a whole segment
	l.FillTo(0x380100)
	l.BackupEnd(testStart)
	l.Switch()
	return l
}

func bytesOf(l *walrecordtest.Log) []byte {
	var all []byte
	for at := protocol.LSN(0x100000); at < l.End(); at += testSegment {
		all = append(all, l.Segment(at)...)
	}
	return all
}

// run checks WAL from the beginning of a segment on.
func run(s Source, content []byte) *Run {
	r := NewRun(s, 0x100000, testStart)
	r.Write(content)
	return r
}

func TestRun(t *testing.T) {
	r := run(testSource, bytesOf(testLog()))
	must(t, r.Err())
	if r.End() != 0x400000 || r.Checkpoint.Start != 0x140100 || r.BackupEnd.Start != 0x380100 || r.BackupEnd.End != 0x380128 {
		t.Errorf("the records end at %v, checkpoint %+v, backup %+v", r.End(), r.Checkpoint, r.BackupEnd)
	}
}

// What is wrong with WAL is found where it is, and what is before it is not doubted.
func TestRun_Invalid(t *testing.T) {
	order := binary.LittleEndian
	for _, test := range []struct {
		name   string
		change func(b []byte)
		source func(s *Source)
		at     protocol.LSN // 0: somewhere
		want   string
	}{
		{"the start is continued", func(b []byte) { b[2] |= pageContinues }, nil, 0x100000, "where the first one should begin"},
		{"a bit", func(b []byte) { b[0x50100] ^= 1 }, nil, 0x140178, "checksum"},
		{"a bit of a header", func(b []byte) { b[0x40104] ^= 1 }, nil, 0x140100, "checksum"},
		{"zeros", func(b []byte) { clear(b[0x40100:0x41000]) }, nil, 0x140100, "record length 0"},
		{"short length", func(b []byte) { order.PutUint32(b[0x40100:], 23) }, nil, 0x140100, "record length 23"},
		{"another system", nil, func(s *Source) { s.SystemID = 8 }, 0x100000, "identifier is 7, not 8"},
		{"another segment size", func(b []byte) { order.PutUint32(b[32:], 2<<20) }, nil, 0x100000, "segments have 2097152 bytes"},
		{"no page size", func(b []byte) { order.PutUint32(b[36:], 3) }, nil, 0x100000, "page size 3"},
		{"another page size later", func(b []byte) { order.PutUint32(b[0x100000+36:], 4096) }, nil, 0x200000, "4096"},
		{"another major", nil, func(s *Source) { s.Major = 16 }, 0x100000, "magic number D110 of the page, which should be one of PostgreSQL 16"},
		{"no WAL", func(b []byte) { copy(b, "not WAL") }, nil, 0x100000, "magic"},
		{"no long header", func(b []byte) { b[2] = 0 }, nil, 0x100000, "no long header"},
		{"a recycled page", func(b []byte) { order.PutUint64(b[0x2000+8:], 0x2000) }, nil, 0x102000, "is the one of 0/2000"},
		{"another timeline", func(b []byte) { order.PutUint32(b[0x2000+4:], 2) }, nil, 0x102000, "timeline 2, not 1"},
		{"an older timeline", nil, func(s *Source) { s.Timeline = func(protocol.LSN) protocol.Timeline { return 2 } }, 0x102000, "timeline 1, not 2"},
		{"a newer timeline at the start", func(b []byte) { order.PutUint32(b[4:], 2) }, nil, 0x100000, "timeline 2, not 1"},
		{"not continued", func(b []byte) { order.PutUint32(b[0x42000+16:], 8) }, nil, 0x142000, "does not continue"},
		{"continued", func(b []byte) { b[0x2000+2] |= 1 }, nil, 0x102000, "that there is not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, s := bytesOf(testLog()), testSource
			if test.change != nil {
				test.change(b)
			}
			if test.source != nil {
				test.source(&s)
			}
			r := run(s, b)
			invalid, ok := errors.AsType[*Error](r.Err())
			if !ok || !strings.Contains(r.Err().Error(), test.want) || test.at != 0 && invalid.LSN != test.at {
				t.Fatalf("error is %v, want %v: %s", r.Err(), test.at, test.want)
			}
			if invalid.LSN < r.End() && test.at > testStart {
				t.Errorf("the records end at %v, behind that", r.End())
			}
			n, err := r.Write([]byte("more"))
			if n != 4 || err != r.Err() {
				t.Errorf("a write behind it: %d, %v", n, err)
			}
		})
	}
}

// The WAL of a version that is not known yet has another magic number, and is read as that
// of the newest one: a tester's server has accepted the cluster.
func TestRun_NewerMajor(t *testing.T) {
	for at, want := range map[int]string{0: "", 0x50100: "checksum", 0x2000: "invalid magic number", 8: "should be one of PostgreSQL 20"} {
		b, s := bytesOf(testLog()), testSource
		for page := 0; page < len(b); page += 8192 {
			b[page] ^= 0x40
		}
		if at > 0 {
			b[at] ^= 1
		}
		s.Major = 20
		r := run(s, b)
		if want == "" {
			must(t, r.Err())
		} else if r.Err() == nil || !strings.Contains(r.Err().Error(), want) {
			t.Errorf("error is %v, want %s", r.Err(), want)
		}
		if s.Major = 19; run(s, b).Err() == nil {
			t.Error("it is taken for the WAL of 19, too")
		}
	}
}

// The chain of records is broken where one says another one was before it.
func TestRun_Chain(t *testing.T) {
	l := walrecordtest.New(15, 7, testSegment, 1, testStart)
	l.FillTo(0x140100)
	other := walrecordtest.New(15, 7, testSegment, 1, 0x140100)
	other.Checkpoint(testStart)
	b := append(bytesOf(l)[:0x40100], bytesOf(other)[0x40100:]...)
	if err := run(testSource, b).Err(); err == nil || !strings.Contains(err.Error(), "0/140100: the record follows one at 0/0") {
		t.Errorf("error is %v", err)
	}
}

// However WAL is cut into pieces and runs, and whatever is wrong with it, the result is
// that of one run.
func TestJoin(t *testing.T) {
	all := bytesOf(testLog())
	rapid.Check(t, func(t *rapid.T) {
		b := append([]byte(nil), all...)
		if rapid.Bool().Draw(t, "damage") {
			at := rapid.OneOf(rapid.IntRange(0, len(b)-1), rapid.SampledFrom([]int{0x100010, 0x100002, 0x200010, 0x200002, 0xFFFF8, 0x100028})).Draw(t, "at")
			b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		one := run(testSource, b)
		var joined *Run
		for at := protocol.LSN(0x100000); len(b) > 0; at += testSegment {
			r := NewRun(testSource, at, testStart)
			piece := b[:testSegment]
			for cut := rapid.IntRange(997, 300000).Draw(t, "cut"); len(piece) > 0; piece = piece[min(cut, len(piece)):] {
				r.Write(piece[:min(cut, len(piece))])
			}
			if b = b[testSegment:]; joined == nil {
				joined = r
			} else {
				joined.Join(r)
			}
		}
		if one.End() != joined.End() || one.Checkpoint != joined.Checkpoint || one.BackupEnd != joined.BackupEnd || (one.Err() == nil) != (joined.Err() == nil) {
			t.Fatalf("one run ends at %v (%v), joined ones at %v (%v)", one.End(), one.Err(), joined.End(), joined.Err())
		}
	})
}

func TestJoin_NoNeighbours(t *testing.T) {
	b := bytesOf(testLog())
	r, next := run(testSource, b[:testSegment]), NewRun(testSource, 0x300000, testStart)
	next.Write(b[2*testSegment : 3*testSegment])
	if err := r.Join(next); err == nil || !strings.Contains(err.Error(), "0/200000: what follows it begins at 0/300000") {
		t.Errorf("error is %v", err)
	}
}

func FuzzRun(f *testing.F) {
	l := walrecordtest.New(15, 7, testSegment, 1, testStart)
	l.Checkpoint(testStart)
	l.FillTo(0x104000)
	l.CreateTablespace(16400, "/ts")
	l.CopyDatabase(5, 16400, 5, 1663)
	l.BackupEnd(testStart)
	f.Add([]byte(l.Segment(0x100000))[:0x5000], uint16(100))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		one := NewRun(Source{SystemID: 7, SegmentSize: testSegment}, 0x100000, testStart)
		one.Write(b)
		two := NewRun(Source{SystemID: 7, SegmentSize: testSegment}, 0x100000, testStart)
		n := min(int(cut), len(b))
		two.Write(b[:n])
		two.Write(b[n:])
		if one.End() != two.End() || one.Checkpoint != two.Checkpoint || one.BackupEnd != two.BackupEnd || !cmp.Equal(one.Directories, two.Directories) || (one.Err() == nil) != (two.Err() == nil) {
			t.Errorf("in one piece: %v, %v; in two: %v, %v", one.End(), one.Err(), two.End(), two.Err())
		}
		if one.Err() == nil && one.End() > 0x100000+protocol.LSN(len(b))+testSegment {
			t.Errorf("the end %v is beyond what there is", one.End())
		}
	})
}

// What the check costs beside the checksum of the same bytes.
func BenchmarkRun(b *testing.B) {
	l := walrecordtest.New(15, 7, 16<<20, 1, 0x1000028)
	for l.End() < 0x2000000-4096 {
		l.Add(10, 0, make([]byte, 60)) // an insertion of a short row
	}
	l.FillTo(0x2000000)
	content := []byte(l.Segment(0x1000000))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		r := NewRun(Source{SystemID: 7, SegmentSize: 16 << 20}, 0x1000000, 0x1000028)
		for at := 0; at < len(content); at += 128 << 10 {
			r.Write(content[at : at+128<<10])
		}
		if r.Err() != nil {
			b.Fatal(r.Err())
		}
	}
}

func BenchmarkChecksum(b *testing.B) {
	content := make([]byte, 16<<20)
	hash := manifest.ChecksumCRC32C.New()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		hash.Write(content)
	}
}
