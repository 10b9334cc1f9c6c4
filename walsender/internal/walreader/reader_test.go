package walreader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
)

const (
	testSegment = 1 << 20
	testStart   = 0x100028
)

// cluster is WAL in memory.
type cluster struct {
	system protocol.System
	files  fstest.MapFS
	check  error
}

func newCluster(logs ...*walrecordtest.Log) *cluster {
	c := &cluster{system: protocol.System{SystemID: 7, Timeline: 1, XLogPos: testStart}, files: fstest.MapFS{}}
	for _, l := range logs {
		for at := protocol.LSN(0x100000); at < l.End(); at += testSegment {
			c.files["pg_wal/"+protocol.WALFileName(l.Timeline, at, testSegment)] = &fstest.MapFile{Data: []byte(l.Segment(at))}
		}
	}
	return c
}

func (c *cluster) Identify(context.Context) (protocol.System, error) { return c.system, nil }

func (c *cluster) Open(_ context.Context, name string, _ protocol.OpenOptions) (fs.File, error) {
	f, err := c.files.Open(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, check: c.check}, nil
}

func (c *cluster) TimelineHistory(_ context.Context, tli protocol.Timeline) (protocol.HistoryFile, error) {
	f := c.files["pg_wal/"+protocol.HistoryFileName(tli)]
	if f == nil {
		return protocol.HistoryFile{}, protocol.Errorf(protocol.CodeUndefinedFile, "gone")
	}
	return protocol.HistoryFile{Content: f.Data}, nil
}

// file has no Seek, and is checked.
type file struct {
	fs.File
	check error
}

func (f *file) Check() error { return f.check }

// Wherever pieces begin, and whatever their length: they are the log's bytes.
func TestReader_Read(t *testing.T) {
	l := walrecordtest.New(15, 7, testSegment, 1, testStart)
	l.FillTo(0x400000)
	c := newCluster(l)
	all := l.Segment(0x100000) + l.Segment(0x200000) + l.Segment(0x300000)
	rapid.Check(t, func(t *rapid.T) {
		r := New(c, testSegment, 15)
		defer r.Close()
		for range rapid.IntRange(1, 8).Draw(t, "reads") {
			from := rapid.IntRange(0, len(all)).Draw(t, "from")
			p := make([]byte, rapid.IntRange(0, min(len(all)-from, 2*testSegment)).Draw(t, "length"))
			if err := r.Read(t.Context(), p, protocol.LSN(0x100000+from), 1); err != nil {
				t.Fatal(err)
			}
			if string(p) != all[from:from+len(p)] {
				t.Fatalf("other bytes at %d", from)
			}
		}
	})
}

func TestReader_Errors(t *testing.T) {
	l := walrecordtest.New(15, 7, testSegment, 1, testStart)
	l.FillTo(0x300000)
	c := newCluster(l)
	r := New(c, testSegment, 15)
	p := make([]byte, 8192)
	read := func(at protocol.LSN, timelines ...protocol.Timeline) error {
		return r.Read(t.Context(), p, at, timelines...)
	}
	const removed = "requested WAL segment "
	for _, test := range []struct {
		at        protocol.LSN
		timelines []protocol.Timeline
		want      string
	}{
		{0, []protocol.Timeline{1}, removed + "000000010000000000000000"},
		{0x300000 - 100, []protocol.Timeline{1}, removed + "000000010000000000000003"},
		{0x200000, []protocol.Timeline{3, 2}, removed + "000000030000000000000002"},
		{0x200000, []protocol.Timeline{2, 1}, ""},
	} {
		err := read(test.at, test.timelines...)
		if (err != nil || test.want != "") && (!protocol.HasCode(err, protocol.CodeUndefinedFile) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("at %v: %v, want %s", test.at, err, test.want)
		}
	}
	c.files["pg_wal/000000010000000000000002"].Data = c.files["pg_wal/000000010000000000000002"].Data[:5000]
	r.Close()
	if err := read(0x200000, 1); !protocol.HasCode(err, protocol.CodeUndefinedFile) {
		t.Errorf("a short segment: %v", err)
	}
	c.check = errors.New("recycled")
	if err := read(0x100000, 1); !errors.Is(err, c.check) {
		t.Errorf("a segment that became another: %v", err)
	}
}

// The end is that of the last valid record behind what the cluster knows, whatever lies
// behind it.
func TestReader_End(t *testing.T) {
	l := walrecordtest.New(15, 7, testSegment, 1, testStart)
	l.FillTo(0x160000)
	known := l.End()
	l.FillTo(0x2FF000)
	whole := l.End()
	l.Add(10, 0, make([]byte, 20000)) // into the next segment
	end := l.End()
	for _, test := range []struct {
		name   string
		change func(c *cluster)
		want   protocol.LSN
	}{
		{"all of it", func(*cluster) {}, end},
		{"all is known", func(c *cluster) { c.system.XLogPos = end }, end},
		{"known to be further", func(c *cluster) { c.system.XLogPos = 0x500028 }, 0x500028},
		{"a record is cut", func(c *cluster) { clear(c.files["pg_wal/000000010000000000000003"].Data[4000:]) }, whole},
		{"the next segment was recycled", func(c *cluster) {
			data := c.files["pg_wal/000000010000000000000003"].Data
			for page := 0; page < len(data); page += 8192 {
				binary.LittleEndian.PutUint64(data[page+8:], 0x900000+uint64(page))
			}
		}, whole},
		{"the next segment is gone", func(c *cluster) { delete(c.files, "pg_wal/000000010000000000000003") }, whole},
		{"all segments are gone", func(c *cluster) { clear(c.files) }, known},
		{"another system's", func(c *cluster) { c.system.SystemID = 8 }, known},
	} {
		c := newCluster(l)
		for name, f := range c.files {
			c.files[name] = &fstest.MapFile{Data: bytes.Clone(f.Data)}
		}
		c.system.XLogPos = known
		test.change(c)
		r := New(c, testSegment, 15)
		got, err := r.End(t.Context(), End{})
		if err != nil || got.LSN != test.want {
			t.Errorf("%s: %v, %v; want %v", test.name, got.LSN, err, test.want)
		}
		again, err := r.End(t.Context(), got)
		if err != nil || again.LSN != got.LSN {
			t.Errorf("%s: %v the second time, %v", test.name, again.LSN, err)
		}
		r.Close()
	}
	c := newCluster(l)
	c.check = io.ErrClosedPipe
	if _, err := New(c, testSegment, 15).End(t.Context(), End{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an error of the disk: %v", err)
	}
}

func TestHistory(t *testing.T) {
	c := newCluster()
	c.system.Timeline = 5
	c.files["pg_wal/00000005.history"] = &fstest.MapFile{Data: []byte("1\t0/300000\tx\n\n# comment\n2\t0/500010\tx\nnot a line\n4\t1/0\tx\n")}
	h, err := ReadHistory(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for lsn, want := range map[protocol.LSN]protocol.Timeline{0: 1, 0x2FFFFF: 1, 0x300000: 2, 0x50000F: 2, 0x500010: 4, 0xFFFFFFFF: 4, 1 << 32: 5} {
		if got := h.At(lsn); got != want {
			t.Errorf("at %v: timeline %d, want %d", lsn, got, want)
		}
	}
	for tli, want := range map[protocol.Timeline]struct {
		at   protocol.LSN
		next protocol.Timeline
	}{1: {0x300000, 2}, 2: {0x500010, 4}, 4: {1 << 32, 5}, 3: {}, 5: {}, 6: {}} {
		at, next, ok := h.Left(tli)
		if at != want.at || next != want.next || ok != (want.next != 0) {
			t.Errorf("timeline %d was left at %v for %d, %v", tli, at, next, ok)
		}
	}
	delete(c.files, "pg_wal/00000005.history")
	if h, err := ReadHistory(t.Context(), c); err != nil || h.At(0) != 5 {
		t.Errorf("without a file: %+v, %v", h, err)
	}
}
