package datadir

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

const mb = 1 << 20

func segmentName(tli protocol.Timeline, number int) string {
	return protocol.WALFileName(tli, protocol.LSN(number*mb), mb)
}

func walNames(t testing.TB, d *Dir, start, end protocol.LSN) ([]string, error) {
	t.Helper()
	var names []string
	for f, err := range d.WALFiles(t.Context(), start, end) {
		if err != nil {
			return names, err
		}
		names = append(names, filepath.Base(f.Path))
	}
	return names, nil
}

func TestWALFiles_4_7(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	f.wal(c, 1, 3, 6, 0, nil)
	f.wal(c, 2, 5, 7, 0, nil)
	f.write("pg_wal/00000002.history", []byte("1\t0/500028\tno recovery target specified\n"))
	f.write("pg_wal/00000003.history", []byte("x"))
	f.write("pg_wal/000000010000000000000006.partial", nil)
	f.write("pg_wal/000000010000000000000003.00000028.backup", nil)
	f.write("pg_wal/xlogtemp.1", nil)
	// What lies ahead: recycled, allocated in advance, cut short.
	f.must(os.Link(f.at("pg_wal/"+segmentName(1, 3)), f.at("pg_wal/"+segmentName(2, 8))))
	f.write("pg_wal/"+segmentName(2, 9), make([]byte, mb))
	f.write("pg_wal/"+segmentName(2, 10), []byte("short"))
	d := f.open()

	histories := []string{"00000002.history", "00000003.history"}
	one := func(numbers ...int) (names []string) {
		for _, n := range numbers {
			names = append(names, segmentName(1, n))
			if n >= 5 && n <= 6 {
				names = append(names, segmentName(2, n))
			}
			if n == 7 {
				names[len(names)-1] = segmentName(2, 7)
			}
		}
		return append(names, histories...)
	}
	for _, test := range []struct {
		name       string
		start, end protocol.LSN
		want       []string
		code       string
	}{
		{"all", 0, 0, one(3, 4, 5, 6, 7), ""},
		{"from", 5*mb + 1, 0, one(5, 6, 7), ""},
		{"to", 0, 4 * mb, one(3), ""},
		{"within one segment", 4*mb + 40, 4*mb + 160, one(4), ""},
		{"the end is not included", 4*mb + 40, 5 * mb, one(4), ""},
		{"the last byte", 5*mb - 1, 5*mb + 1, one(4, 5), ""},
		{"no bytes", 4 * mb, 4 * mb, histories, ""},
		{"removed at the start", 2 * mb, 5 * mb, nil, protocol.CodeUndefinedFile},
		{"removed at the end", 7 * mb, 8*mb + 1, nil, protocol.CodeUndefinedFile},
		{"only recycled", 8 * mb, 0, nil, protocol.CodeUndefinedFile},
		{"backwards", 5 * mb, 4 * mb, nil, protocol.CodeInvalidParameterValue},
	} {
		got, err := walNames(t, d, test.start, test.end)
		if code(err) != test.code {
			t.Errorf("%s: error %v, want %q", test.name, err, test.code)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	f.must(os.Remove(f.at("pg_wal/" + segmentName(1, 4))))
	_, err := walNames(t, d, 3*mb, 7*mb)
	if err == nil || err.Error() != "ERROR: requested WAL segment 000000010000000000000004 has already been removed (SQLSTATE 58P01)" &&
		err.Error() != "ERROR: requested WAL segment 000000020000000000000004 has already been removed (SQLSTATE 58P01)" {
		t.Errorf("a gap: %v", err)
	}
}

func TestWALFiles_4_7_EmptyRange(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	f.wal(c, 1, 1, 1, 1*mb+longPageHeader, nil)
	names, err := walNames(t, f.open(), 1*mb+100, 1*mb+100)
	f.must(err)
	if names != nil {
		t.Errorf("a range without a byte lists %q", names)
	}
}

// The listing against a model: a set of segments, a range, and a plain loop.
func TestWALFiles_Model(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	d := f.open()
	rapid.Check(t, func(rt *rapid.T) {
		f.must(os.RemoveAll(f.at("pg_wal")))
		f.must(os.Mkdir(f.at("pg_wal"), 0o700))
		present := rapid.SliceOfNDistinct(rapid.IntRange(1, 8), 0, 6, rapid.ID).Draw(rt, "present")
		there := make(map[int]bool)
		oldest := 0
		for _, n := range present {
			there[n] = true
			if oldest == 0 || n < oldest {
				oldest = n
			}
			header := make([]byte, longPageHeader)
			putPageHeader(header, c, 1, protocol.LSN(n*mb))
			name := f.at("pg_wal/" + segmentName(1, n))
			f.must(os.WriteFile(name, header, 0o600))
			f.must(os.Truncate(name, mb))
		}
		start := rapid.IntRange(1, 9*mb).Draw(rt, "start")
		end := rapid.IntRange(start, 10*mb).Draw(rt, "end")
		var want []string
		gap := false
		for n := start / mb; n*mb < end && start < end; n++ {
			gap = gap || !there[n]
			want = append(want, segmentName(1, n))
		}
		got, err := walNames(t, d, protocol.LSN(start), protocol.LSN(end))
		if gap != (code(err) == protocol.CodeUndefinedFile) {
			rt.Fatalf("gap %v, error %v", gap, err)
		}
		if !gap && !cmp.Equal(want, got) {
			rt.Fatal(cmp.Diff(want, got))
		}
	})
}

// The first segment of a timeline is a copy of its parent's up to the switch, with
// the parent's number in its first page.
func TestWALFiles_TimelineBranch(t *testing.T) {
	c := validControl()
	for history, want := range map[string]bool{
		"":                           true, // not there: nothing contradicts
		"1\t0/500028\tno reason\n":   true,
		"1\t0/4FFFF8\tno reason\n":   false, // switched before: other WAL under this name
		"1\t0/500000\tno reason\n":   false,
		"1\t0/600000\tno reason\n":   false,
		"\n# nothing\nx y z\n2\t1\n": false,
	} {
		f := newFixture(t, c)
		f.wal(c, 1, 5, 5, 0, nil)
		f.must(os.Rename(f.at("pg_wal/"+segmentName(1, 5)), f.at("pg_wal/"+segmentName(2, 5))))
		if history != "" {
			f.write("pg_wal/00000002.history", []byte(history))
		}
		d := f.open()
		_, err := d.Open(t.Context(), "pg_wal/"+segmentName(2, 5), protocol.OpenOptions{})
		if (err == nil) != want || err != nil && code(err) != protocol.CodeUndefinedFile {
			t.Errorf("history %q: error %v", history, err)
		}
	}
	// A later timeline's WAL under an earlier one's name is never right.
	f := newFixture(t, c)
	f.wal(c, 2, 5, 5, 0, nil)
	f.must(os.Rename(f.at("pg_wal/"+segmentName(2, 5)), f.at("pg_wal/"+segmentName(1, 5))))
	if _, err := f.open().Open(t.Context(), "pg_wal/"+segmentName(1, 5), protocol.OpenOptions{}); code(err) != protocol.CodeUndefinedFile {
		t.Errorf("a later timeline's: error %v", err)
	}
}

// The ways in which a segment stops being what it was while it is sent.
func TestCheck_4_6(t *testing.T) {
	c := validControl()
	name := "pg_wal/" + segmentName(1, 3)
	for what, change := range map[string]func(fixture){
		"removed":  func(f fixture) { f.must(os.Remove(f.at(name))) },
		"recycled": func(f fixture) { f.must(os.Rename(f.at(name), f.at("pg_wal/"+segmentName(1, 4)))) },
		"another file": func(f fixture) {
			f.must(os.Rename(f.at(name), f.at("pg_wal/old")))
			f.wal(c, 1, 3, 3, 0, nil)
		},
		"truncated": func(f fixture) { f.must(os.Truncate(f.at(name), mb-1)) },
		"overwritten": func(f fixture) {
			header := make([]byte, longPageHeader)
			putPageHeader(header, c, 1, 4*mb)
			file, err := os.OpenFile(f.at(name), os.O_WRONLY, 0)
			f.must(err)
			_, err = file.Write(header)
			f.must(err)
			f.must(file.Close())
		},
	} {
		f := newFixture(t, c)
		f.wal(c, 1, 3, 3, 0, nil)
		file, err := f.open().Open(t.Context(), name, protocol.OpenOptions{})
		f.must(err)
		check := file.(interface{ Check() error }).Check
		f.must(check())
		change(f)
		if err := check(); code(err) != protocol.CodeUndefinedFile || err.(*protocol.Error).Message != "requested WAL segment 000000010000000000000003 has already been removed" {
			t.Errorf("%s: error %v", what, err)
		}
		f.must(file.Close())
	}
}

func TestWAL_SymbolicLink(t *testing.T) {
	c := validControl()
	for _, relative := range []bool{false, true} {
		f := newFixture(t, c)
		f.wal(c, 1, 3, 3, 0, nil)
		f.write("pg_wal/00000002.history", []byte("1\t0/500028\tno reason\n"))
		target := f.at("elsewhere")
		f.must(os.Rename(f.at("pg_wal"), target))
		if relative {
			target = "elsewhere"
		}
		f.must(os.Symlink(target, f.at("pg_wal")))
		d := f.open()
		got, err := walNames(t, d, 0, 0)
		f.must(err)
		if diff := cmp.Diff([]string{segmentName(1, 3), "00000002.history"}, got); diff != "" {
			t.Errorf("segments (-want +got):\n%s", diff)
		}
		for _, name := range got {
			file, err := d.Open(t.Context(), "pg_wal/"+name, protocol.OpenOptions{})
			f.must(err)
			info, err := file.Stat()
			f.must(err)
			if n, err := io.Copy(io.Discard, file); err != nil || n != info.Size() {
				t.Errorf("%s: read %d of %d bytes, %v", name, n, info.Size(), err)
			}
			f.must(file.Close())
		}
		history, err := d.TimelineHistory(t.Context(), 2)
		f.must(err)
		if diff := cmp.Diff(protocol.HistoryFile{Name: "00000002.history", Content: []byte("1\t0/500028\tno reason\n")}, history); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		rows, _ := listing(t, d, "")
		for _, row := range rows {
			if row == "l pg_wal" || row == "f pg_wal/"+segmentName(1, 3) {
				t.Errorf("row %s", row)
			}
		}
	}
}

func TestTimelineHistory_4_9(t *testing.T) {
	d := newFixture(t, validControl()).open()
	_, err := d.TimelineHistory(t.Context(), 2)
	if code(err) != protocol.CodeUndefinedFile || err.(*protocol.Error).Message != `could not open file "pg_wal/00000002.history": No such file or directory` {
		t.Errorf("error %v", err)
	}
}
