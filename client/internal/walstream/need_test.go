package walstream

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

func walFile(tli protocol.Timeline, n int) output.File {
	return output.File{Path: "pg_wal/" + protocol.WALFileName(tli, protocol.LSN(n)*segmentSize, segmentSize), Size: segmentSize}
}

func TestNeed(t *testing.T) {
	one := Lineage{{1, 0}}
	two := Lineage{{1, 0}, {2, 0x380000}} // timeline 2 begins in the middle of segment 3
	history := output.File{Path: "pg_wal/00000002.history", Size: 30}
	for _, test := range []struct {
		name        string
		start, stop protocol.LSN
		history     Lineage
		files       []output.File
		want        string
	}{
		{"all", 0x100028, 0x300000, one, []output.File{walFile(1, 1), walFile(1, 2)}, ""},
		{"stop inside", 0x100028, 0x300001, one, []output.File{walFile(1, 1), walFile(1, 2)}, `could not find WAL file "000000010000000000000003"`},
		{"gap", 0x100028, 0x400000, one, []output.File{walFile(1, 1), walFile(1, 3)}, `could not find WAL file "000000010000000000000002"`},
		{"nothing", 0x100028, 0x100100, one, nil, `could not find WAL file "000000010000000000000001"`},
		{"across id", 0xFFF00000, 0x1_00200000, one, []output.File{walFile(1, 0xFFF), walFile(1, 0x1000), walFile(1, 0x1001)}, ""},
		{"switch", 0x200000, 0x480000, two, []output.File{walFile(1, 2), walFile(1, 3), walFile(2, 3), walFile(2, 4), history}, ""},
		{"switch, the old segment is not needed", 0x200000, 0x480000, two, []output.File{walFile(1, 2), walFile(2, 3), walFile(2, 4)}, ""},
		{"switch, new segment missing", 0x200000, 0x480000, two, []output.File{walFile(1, 2), walFile(1, 3), walFile(2, 4)}, `could not find WAL file "000000020000000000000003"`},
		{"other timeline", 0x100028, 0x300000, one, []output.File{walFile(1, 1), walFile(2, 2)}, `could not find WAL file "000000010000000000000002"`},
		{"no end", 0x100028, 0, one, []output.File{walFile(1, 1), walFile(1, 2)}, ""},
		{"no end, gap", 0x100028, 0, one, []output.File{walFile(1, 1), walFile(1, 3)}, `could not find WAL file "000000010000000000000002"`},
		{"no end, nothing", 0x100028, 0, one, nil, `could not find WAL file "000000010000000000000001"`},
		{"twice", 0x100028, 0x200000, one, []output.File{walFile(1, 1), walFile(1, 1)}, "more than once"},
		{"size", 0x100028, 0x200000, one, []output.File{{Path: walFile(1, 1).Path, Size: 5}}, "unexpected WAL file size"},
		{"elsewhere", 0x100028, 0x200000, one, []output.File{{Path: "base/000000010000000000000001", Size: segmentSize}}, "no WAL file"},
		{"deeper", 0x100028, 0x200000, one, []output.File{{Path: "pg_wal/archive_status/000000010000000000000001", Size: segmentSize}}, "no WAL file"},
		{"partial", 0x100028, 0x200000, one, []output.File{walFile(1, 1), {Path: "pg_wal/000000010000000000000002.partial", Size: segmentSize}}, "no WAL file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := Need{Start: test.start, Stop: test.stop, History: test.history, SegmentSize: segmentSize}
			err := n.Check(listOf(test.files...))
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
		})
	}
}

// A list from which any one segment is missing is found out.
func TestNeed_Gap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, count := rapid.IntRange(0, 5000).Draw(t, "first"), rapid.IntRange(1, 30).Draw(t, "count")
		begin := protocol.LSN(first) * segmentSize
		end := begin + protocol.LSN(count)*segmentSize
		n := Need{
			Start:       begin + protocol.LSN(rapid.IntRange(0, segmentSize-1).Draw(t, "start")),
			Stop:        end - protocol.LSN(rapid.IntRange(0, segmentSize-1).Draw(t, "stop")),
			History:     Lineage{{1, 0}},
			SegmentSize: segmentSize,
		}
		if n.Stop <= n.Start {
			t.Skip()
		}
		missing := rapid.IntRange(-1, count-1).Draw(t, "missing")
		var files []output.File
		for i := range count {
			if i != missing {
				files = append(files, walFile(1, first+i))
			}
		}
		if err := n.Check(listOf(files...)); (err == nil) != (missing < 0) {
			t.Fatalf("segment %d of %d missing: %v", missing, count, err)
		}
	})
}

func TestParseHistory(t *testing.T) {
	l, err := ParseHistory(4, "# comment\n1\t0/1000\tno recovery target specified\n\n2\t0/2000\tbefore 2026-01-01\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Lineage{{1, 0}, {2, 0x1000}, {4, 0x2000}}); !slices.Equal(l, want) {
		t.Errorf("Lineage is %v, want %v", l, want)
	}
	for end, want := range map[protocol.LSN]protocol.Timeline{1: 1, 0x1000: 1, 0x1001: 2, 0x2000: 2, 0x2001: 4} {
		if got := l.At(end); got != want {
			t.Errorf("the byte before %v is on timeline %d, want %d", end, got, want)
		}
	}
	if _, err := l.Ranges(3, 1, 0x3000); err == nil {
		t.Error("no error for a timeline that is no ancestor")
	}
	for _, bad := range []string{"1\n", "x\t0/1\n", "1\tnowhere\n", "2\t0/1\n1\t0/2\n", "1\t0/5\n2\t0/4\n", "4\t0/1\n", "99999999999\t0/1\n"} {
		if _, err := ParseHistory(4, bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add(uint32(3), "1\t0/1000\tx\n2\t0/2000\ty\n")
	f.Add(uint32(1), "")
	f.Fuzz(func(t *testing.T, tli uint32, content string) {
		l, err := ParseHistory(protocol.Timeline(tli), content)
		if err != nil {
			return
		}
		for i := 1; i < len(l); i++ {
			if l[i].Timeline <= l[i-1].Timeline || l[i].Begin < l[i-1].Begin {
				t.Fatalf("not in order: %v", l)
			}
		}
		if l[len(l)-1].Timeline != protocol.Timeline(tli) {
			t.Fatalf("ends with another timeline: %v", l)
		}
	})
}

func listOf(all ...output.File) *output.Files {
	list := &output.Files{}
	for _, f := range all {
		list.Add(f)
	}
	return list
}
