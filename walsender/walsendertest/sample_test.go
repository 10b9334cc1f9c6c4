package walsendertest_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/page"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// rich has everything that a sample can have, in a small size.
func rich(locations string) walsendertest.Sample {
	return walsendertest.Sample{
		WALSegmentSize:  1 << 20,
		Databases:       4,
		SmallFiles:      20,
		RelationPages:   200,
		Tablespaces:     []walsendertest.SampleTablespace{{OID: 16500, Location: locations + "/it's a place"}, {OID: 16501}},
		Unlogged:        true,
		OddNames:        true,
		GroupAccess:     true,
		RecycledSegment: true,
		Timeline:        3,
	}
}

// PostgreSQL's own programs judge the sample.
func TestSample_PostgreSQLAccepts(t *testing.T) {
	p := postgres.Require(t)
	for name, sample := range map[string]walsendertest.Sample{
		"zero value":   {Version: p.Major},
		"shut down":    rich(p.TempDir(t)),
		"in recovery":  {Version: p.Major, State: controlfile.StateShutDownInRecovery, WALSegmentSize: 64 << 20},
		"no checksums": {Version: p.Major, NoChecksums: true, WALSegmentSize: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			sample.Version = p.Major
			dir := filepath.Join(p.TempDir(t), "data")
			must(t, sample.Write(dir))
			must(t, p.Own(filepath.Dir(dir)))
			for _, tablespace := range sample.Tablespaces {
				if tablespace.Location != "" {
					must(t, p.Own(tablespace.Location))
				}
			}
			checkControl(t, p, dir, sample)
			checkWAL(t, p, dir, sample)
			checkPages(t, p, dir, sample)
		})
	}
}

func checkControl(t *testing.T, p postgres.Programs, dir string, sample walsendertest.Sample) {
	t.Helper()
	c, err := p.At(dir)
	must(t, err)
	defer c.Close()
	got, err := c.ControlData(t.Context())
	must(t, err)
	size, tli := max(sample.WALSegmentSize, 1<<20), max(sample.Timeline, 1)
	if sample.WALSegmentSize == 0 {
		size = 16 << 20
	}
	want := map[string]string{
		"Database cluster state":               "shut down",
		"Database system identifier":           "7300000000000000001",
		"Latest checkpoint location":           fmt.Sprintf("0/%X", 2*size+40),
		"Latest checkpoint's REDO location":    fmt.Sprintf("0/%X", 2*size+40),
		"Latest checkpoint's REDO WAL file":    fmt.Sprintf("%08X%08X%08X", tli, 0, 2),
		"Latest checkpoint's TimeLineID":       fmt.Sprint(tli),
		"Minimum recovery ending location":     "0/0",
		"Bytes per WAL segment":                fmt.Sprint(size),
		"Data page checksum version":           "1",
		"Blocks per segment of large relation": "131072",
	}
	if sample.State == controlfile.StateShutDownInRecovery {
		want["Database cluster state"] = "shut down in recovery"
		want["Minimum recovery ending location"] = fmt.Sprintf("0/%X", 2*size+160)
	}
	if sample.NoChecksums {
		want["Data page checksum version"] = "0"
	}
	for label, value := range want {
		if got[label] != value {
			t.Errorf("pg_controldata: %s is %q, want %q", label, got[label], value)
		}
	}
	if got["WARNING"] != "" {
		t.Errorf("pg_controldata warns: %s", got["WARNING"])
	}
}

func checkWAL(t *testing.T, p postgres.Programs, dir string, sample walsendertest.Sample) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "pg_wal", "0*[12]"))
	must(t, err)
	want := []string{"SWITCH", "CHECKPOINT_SHUTDOWN"}
	if len(segments) != len(want) {
		t.Fatalf("segments 1 and 2 are %q", segments)
	}
	for i, segment := range segments {
		// pg_waldump exits with an error at the end of the WAL, where zeros are.
		out, err := p.Run(t.Context(), "pg_waldump", "-n", "1", segment)
		if err != nil || !strings.Contains(out, want[i]) {
			t.Errorf("pg_waldump %s: %v, want a record %s\n%s", filepath.Base(segment), err, want[i], out)
		}
	}
	c, err := controlfile.Decode(read(t, filepath.Join(dir, "global/pg_control")))
	must(t, err)
	out, err := p.Run(t.Context(), "pg_waldump", "--quiet", "-p", filepath.Join(dir, "pg_wal"),
		"-t", fmt.Sprint(c.Timeline), "-s", c.Redo.String(), "-e", (c.Redo + 120).String())
	if err != nil {
		t.Errorf("pg_waldump of the checkpoint's range: %v\n%s", err, out)
	}
}

func checkPages(t *testing.T, p postgres.Programs, dir string, sample walsendertest.Sample) {
	t.Helper()
	if sample.NoChecksums || sample.State == controlfile.StateInProduction {
		return
	}
	out, err := p.Run(t.Context(), "pg_checksums", "--check", "-D", dir)
	if err != nil || !strings.Contains(out, "Bad checksums:  0\n") {
		t.Errorf("pg_checksums --check: %v\n%s", err, out)
	}
}

func TestSample_DamagedPages(t *testing.T) {
	p := postgres.Require(t)
	dir := filepath.Join(p.TempDir(t), "data")
	sample := walsendertest.Sample{Version: p.Major, WALSegmentSize: 1 << 20, DamagedPages: []walsendertest.DamagedPage{
		{Path: "base/5/20001", Block: 3}, {Path: "global/1260", Block: 0},
	}}
	must(t, sample.Write(dir))
	must(t, p.Own(dir))
	out, err := p.Run(t.Context(), "pg_checksums", "--check", "-D", dir)
	if err == nil || !strings.Contains(out, "Bad checksums:  2\n") {
		t.Errorf("pg_checksums of a sample with two damaged pages: %v\n%s", err, out)
	}
	sample.DamagedPages[0].Block = 10
	if err := sample.Write(filepath.Join(t.TempDir(), "data")); err == nil {
		t.Error("no error for a damaged page behind the end")
	}
}

func TestSample_SameBytes(t *testing.T) {
	var trees []map[string]string
	for range 2 {
		base := t.TempDir()
		must(t, rich(base).Write(base+"/data"))
		tree := digests(t, base+"/data")
		for name, digest := range digests(t, base+"/it's a place") {
			tree["tablespace/"+name] = digest
		}
		trees = append(trees, tree)
	}
	if diff := cmp.Diff(trees[0], trees[1]); diff != "" {
		t.Errorf("two samples differ (-first +second):\n%s", diff)
	}
}

// No two pages are alike but for the new ones: a mixed-up block is always seen,
// also where there are no checksums.
func TestSample_PagesDiffer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, RelationPages: 300, NoChecksums: true}.Write(dir))
	seen, empty := make(map[string]bool), 0
	for _, name := range []string{"base/1/20000", "base/5/20000", "base/5/20001"} {
		for content := range slices.Chunk(read(t, filepath.Join(dir, name)), 8192) {
			if string(content) == string(make([]byte, 8192)) {
				empty++
				continue
			}
			if seen[string(content)] {
				t.Fatalf("%s holds a page twice", name)
			}
			seen[string(content)] = true
		}
	}
	if len(seen)+empty != 900 || empty != 57 {
		t.Errorf("%d pages and %d new ones, want 843 and 57", len(seen), empty)
	}
}

// A page's number counts from the start of the relation, not of the file.
func TestSample_Segments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, RelationPages: 8, SegmentPages: 3}.Write(dir))
	var blocks []uint32
	for segment, name := range []string{"20000", "20000.1", "20000.2"} {
		for content := range slices.Chunk(read(t, filepath.Join(dir, "base/5", name)), 8192) {
			block := uint32(len(blocks))
			blocks = append(blocks, uint32(segment))
			sum := binary.NativeEndian.Uint16(content[8:])
			if block != 1 && sum != page.Checksum(content, block) {
				t.Errorf("block %d in %s has checksum %X", block, name, sum)
			}
		}
	}
	if diff := cmp.Diff([]uint32{0, 0, 0, 1, 1, 1, 2, 2}, blocks); diff != "" {
		t.Errorf("files of the blocks (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "base/5/20000.3")); err == nil {
		t.Error("there is a fourth file")
	}
}

func TestSample_Modes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // which must not matter
	for _, group := range []bool{false, true} {
		dirMode, fileMode := fs.FileMode(0o700), fs.FileMode(0o600)
		if group {
			dirMode, fileMode = 0o750, 0o640
		}
		dir := filepath.Join(t.TempDir(), "data")
		must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, GroupAccess: group}.Write(dir))
		must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			must(t, err)
			want := fileMode
			if e.IsDir() {
				want = dirMode
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("GroupAccess %v: %s has mode %v, want %v", group, name, got, want)
			}
			return nil
		}))
	}
}

func TestSample_LeftOutIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	sample := walsendertest.Sample{WALSegmentSize: 1 << 20}
	must(t, sample.Write(dir))
	for _, name := range sample.LeftOut() {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Size() == 0 && !info.IsDir() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSample_Versions(t *testing.T) {
	for version := 13; version <= 19; version++ {
		dir := filepath.Join(t.TempDir(), "data")
		must(t, walsendertest.Sample{Version: version, WALSegmentSize: 1 << 20}.Write(dir))
		c, err := controlfile.Decode(read(t, dir+"/global/pg_control"))
		must(t, err)
		if got := string(read(t, dir+"/PG_VERSION")); got != fmt.Sprintln(version) {
			t.Errorf("PG_VERSION of %d is %q", version, got)
		}
		if c.SystemID == 0 || c.CatalogVersion/100000 != uint32(version+2007) {
			t.Errorf("%d has the control file %+v", version, c)
		}
		if _, err := os.Stat(dir + "/pg_wal/summaries"); (err == nil) != (version >= 17) {
			t.Errorf("pg_wal/summaries of %d: %v", version, err)
		}
	}
}

func TestSample_History(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, rich(t.TempDir()).Write(dir))
	want := "1\t0/100000\tno recovery target specified\n2\t0/200000\tno recovery target specified\n"
	if diff := cmp.Diff(want, string(read(t, dir+"/pg_wal/00000003.history"))); diff != "" {
		t.Errorf("00000003.history (-want +got):\n%s", diff)
	}
}

func TestSample_Errors(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/full", 0o700))
	must(t, os.WriteFile(dir+"/full/x", nil, 0o600))
	for name, tt := range map[string]struct {
		dir    string
		sample walsendertest.Sample
		text   string
	}{
		"not empty":         {"full", walsendertest.Sample{}, "is not empty"},
		"no parent":         {"no/such", walsendertest.Sample{}, "no such file"},
		"version":           {"v", walsendertest.Sample{Version: 12}, "PostgreSQL 12 is not known"},
		"segment size":      {"s", walsendertest.Sample{WALSegmentSize: 3 << 20}, "segments of 3145728 bytes"},
		"negative":          {"n", walsendertest.Sample{SmallFiles: -1}, "out of range"},
		"relative location": {"r", walsendertest.Sample{Tablespaces: []walsendertest.SampleTablespace{{OID: 1, Location: "here"}}}, "not an absolute path"},
		"path":              {"p", walsendertest.Sample{Files: []walsendertest.SampleFile{{Path: "../x"}}}, "cannot be"},
		"file size":         {"f", walsendertest.Sample{Files: []walsendertest.SampleFile{{Path: "x", Size: -1}}}, "cannot be"},
		"no database 5":     {"d", walsendertest.Sample{Databases: 2, SmallFiles: 1}, "database 5"},
	} {
		if err := tt.sample.Write(filepath.Join(dir, tt.dir)); err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.text)
		}
	}
}

func BenchmarkSample_SmallFiles(b *testing.B) {
	for b.Loop() {
		must(b, walsendertest.Sample{WALSegmentSize: 1 << 20, SmallFiles: 20_000}.Write(filepath.Join(b.TempDir(), "data")))
	}
}

func BenchmarkSample_Pages(b *testing.B) {
	const pages = 16384
	b.SetBytes(pages * 8192 * 3)
	for b.Loop() {
		must(b, walsendertest.Sample{WALSegmentSize: 1 << 20, Relations: 1, RelationPages: pages}.Write(filepath.Join(b.TempDir(), "data")))
	}
}

// digests are the files below dir with what they hold, and the links with their names only.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found[strings.TrimPrefix(name, dir)] = e.Type().String()
		if e.Type().IsRegular() {
			found[strings.TrimPrefix(name, dir)] = fmt.Sprintf("%x", sha256.Sum256(read(t, name)))
		}
		return nil
	}))
	return found
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return data
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
