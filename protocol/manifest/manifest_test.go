package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// writeManifest is the text of a manifest.
func writeManifest(t testing.TB, m *manifest.Manifest, forceEncode bool) []byte {
	t.Helper()
	var out bytes.Buffer
	w := manifest.NewWriter(&out, manifest.Options{
		Version: m.Version, SystemID: m.SystemID, ForceEncode: forceEncode,
	})
	for _, f := range m.Files {
		if err := w.AddFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(m.WALRanges...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sampleManifest has a file of each algorithm and names of every kind.
func sampleManifest(version int) *manifest.Manifest {
	m := &manifest.Manifest{
		Version: version,
		WALRanges: []manifest.WALRange{
			{Timeline: 2, Start: 0x6000028, End: 0x6000100},
			{Timeline: 1, Start: 0x5000000, End: 0x6000028},
		},
	}
	if version == 2 {
		m.SystemID = 1<<64 - 1
	}
	names := []string{"PG_VERSION", "base/1/1259", "naïve", "quote\" back\\slash", "\b\f\n\r\t\x01\x1f\x7f", "not UTF-8 \xff"}
	for i, name := range names {
		f := manifest.File{
			Path: name, Size: int64(i) << 32, ModTime: time.Unix(1790000000, 0).UTC(), Algorithm: manifest.ChecksumAlgorithm(i),
		}
		if h := f.Algorithm.New(); h != nil {
			io.WriteString(h, name)
			f.Checksum = h.Sum(nil)
		}
		m.Files = append(m.Files, f)
	}
	return m
}

func TestManifestGolden(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, forceEncode := range []bool{false, true} {
			name := fmt.Sprintf("testdata/manifest-v%d.json", version)
			if forceEncode {
				name = fmt.Sprintf("testdata/manifest-v%d-encoded.json", version)
			}
			t.Run(filepath.Base(name), func(t *testing.T) {
				m := sampleManifest(version)
				got := writeManifest(t, m, forceEncode)
				if *update {
					if err := os.WriteFile(name, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("written (-want +got):\n%s", diff)
				}
				read, err := manifest.Read(bytes.NewReader(want))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(m, read); diff != "" {
					t.Errorf("read (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestManifest_2_3_PostgreSQL19(t *testing.T) {
	var out bytes.Buffer
	w := manifest.NewWriter(&out, manifest.Options{Version: 2, Major: 19})
	if err := w.Close(manifest.WALRange{Timeline: 1, Start: 0x2000028, End: 0x2000120}); err != nil {
		t.Fatal(err)
	}
	if want := `{ "Timeline": 1, "Start-LSN": "0/02000028", "End-LSN": "0/02000120" }`; !strings.Contains(out.String(), want) {
		t.Errorf("no %s in\n%s", want, &out)
	}
}

func TestManifestRoundTrip(t *testing.T) {
	file := rapid.Custom(func(t *rapid.T) manifest.File {
		f := manifest.File{
			Path:      protocoltest.Paths().Draw(t, "path"),
			Size:      rapid.Int64Min(0).Draw(t, "size"),
			ModTime:   time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "mtime"), 0).UTC(),
			Algorithm: manifest.ChecksumAlgorithm(rapid.IntRange(0, 5).Draw(t, "algorithm")),
		}
		if h := f.Algorithm.New(); h != nil {
			f.Checksum = rapid.SliceOfN(rapid.Byte(), h.Size(), h.Size()).Draw(t, "checksum")
		}
		return f
	})
	ranges := rapid.Custom(func(t *rapid.T) manifest.WALRange {
		return manifest.WALRange{Timeline: protocoltest.Timelines().Draw(t, "tli"), Start: protocoltest.LSNs().Draw(t, "start"), End: protocoltest.LSNs().Draw(t, "end")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		want := &manifest.Manifest{
			Version:   rapid.IntRange(1, 2).Draw(rt, "version"),
			Files:     rapid.SliceOfDistinct(file, func(f manifest.File) string { return f.Path }).Draw(rt, "files"),
			WALRanges: rapid.SliceOf(ranges).Draw(rt, "ranges"),
		}
		if want.Version == 2 {
			want.SystemID = rapid.Uint64().Draw(rt, "systemid")
		}
		text := writeManifest(t, want, rapid.Bool().Draw(rt, "encode"))
		got, err := manifest.Read(iotest.OneByteReader(bytes.NewReader(text)))
		if err != nil {
			rt.Fatalf("%v in\n%s", err, text)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// Each byte of a manifest counts: with any of them changed or missing it is none.
func TestManifestDamaged(t *testing.T) {
	good := writeManifest(t, sampleManifest(2), false)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x01
		if _, err := manifest.Read(bytes.NewReader(bad)); err == nil {
			t.Errorf("accepted with byte %d changed from %q to %q", i, good[i], bad[i])
		}
		if _, err := manifest.Read(bytes.NewReader(good[:i])); err == nil {
			t.Errorf("accepted when cut after %d of %d bytes", i, len(good))
		}
	}
}

// sealed closes a manifest with the checksum that it should have.
func sealed(text string) string {
	return fmt.Sprintf("%s\"Manifest-Checksum\": \"%x\"}\n", text, sha256.Sum256([]byte(text)))
}

func TestReadManifestErrors(t *testing.T) {
	const (
		version = `{ "PostgreSQL-Backup-Manifest-Version": 1,` + "\n"
		ranges  = `"WAL-Ranges": [],` + "\n"
		tail    = "],\n" + ranges
		parse   = "could not parse backup manifest: "
		times   = `"Last-Modified": "2026-11-22 07:59:14 GMT"`
	)
	files := func(objects string) string { return sealed(version + `"Files": [` + objects + tail) }
	good := files(`{"Path": "a", "Size": 0, ` + times + `}`)
	for _, test := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"no files", files(""), ""},
		{"white space", sealed(strings.NewReplacer(":", " \r\n\t: ", ",", " ,\n").Replace(version) + `"Files":[]` + "\n,\n" + ranges), ""},
		{"no WAL ranges", sealed(version + "\"Files\": [],\n"), ""},
		{"no time", files(`{"Path": "a", "Size": 0}`), ""},
		{"empty time", files(`{"Path": "a", "Size": 0, "Last-Modified": ""}`), ""},
		{"time in words", files(`{"Path": "a", "Size": 0, "Last-Modified": "now"}`), ""},
		{"time in a far year", files(`{"Path": "a", "Size": 0, "Last-Modified": "10000-01-01 00:00:00 GMT"}`), ""},
		{"time before the first year", files(`{"Path": "a", "Size": 0, "Last-Modified": "-001-12-31 23:59:59 GMT"}`), ""},
		{"time with a leap second", files(`{"Path": "a", "Size": 0, "Last-Modified": "2016-12-31 23:59:60 GMT"}`), ""},
		{"time of no zone", files(`{"Path": "a", "Size": 0, "Last-Modified": "2016-12-31 23:59:59"}`), ""},
		{"escapes", files(`{"Path": "\u0041\/\ud83d\ude00", "Size": 0, ` + times + `}`), ""},

		{"empty", "", parse + `manifest ended unexpectedly`},
		{"cut", good[:len(good)/2], parse + `manifest ended unexpectedly`},
		{"no version", sealed(`{ "Files": [` + tail), parse + `expected version indicator`},
		{"version 0", sealed(strings.Replace(version, "1", "0", 1)), parse + `unexpected manifest version: 0`},
		{"version 3", sealed(strings.Replace(version, "1", "3", 1)), parse + `unexpected manifest version: 3`},
		{"version 2 without a system", sealed(`{ "PostgreSQL-Backup-Manifest-Version": 2, "Files": [` + tail), parse + `missing system identifier`},
		{"version 1 with a system", sealed(version + `"System-Identifier": 1, "Files": [` + tail), parse + `unexpected system identifier`},
		{"unknown field", sealed(version + `"Extra": 1,`), parse + `unrecognized top-level field: "Extra"`},
		{"field twice", sealed(version + `"Files": [], "Files": [` + tail), parse + `duplicate top-level field "Files"`},
		{"no field Files", sealed(version + ranges), parse + `missing files`},

		{"path twice", files(`{"Path": "a", "Size": 0, ` + times + `}, {"Encoded-Path": "61", "Size": 0, ` + times + `}`), `duplicate path name in backup manifest: "a"`},
		{"bad path", files(`{"Path": "../a", "Size": 0, ` + times + `}`), parse + `ERROR: invalid file path "../a" (SQLSTATE 22023)`},
		{"NUL in a path", files(`{"Path": "a\u0000", "Size": 0, ` + times + `}`), parse + `ERROR: invalid file path "a\x00" (SQLSTATE 22023)`},
		{"no path", files(`{"Size": 0, ` + times + `}`), parse + `missing path name`},
		{"two paths", files(`{"Path": "a", "Encoded-Path": "61", "Size": 0, ` + times + `}`), parse + `both path name and encoded path name`},
		{"bad encoded path", files(`{"Encoded-Path": "6", "Size": 0, ` + times + `}`), `could not decode file name: "6"`},
		{"no size", files(`{"Path": "a", ` + times + `}`), parse + `missing size`},
		{"negative size", files(`{"Path": "a", "Size": -1, ` + times + `}`), parse + `file size is not an integer: -1`},
		{"size in words", files(`{"Path": "a", "Size": "Oops", ` + times + `}`), parse + `file size is not an integer: "Oops"`},
		{"size null", files(`{"Path": "a", "Size": null, ` + times + `}`), parse + `file size is not an integer: null`},
		{"size of objects", files(`{"Path": "a", "Size": {}, ` + times + `}`), parse + `file size is not an integer: `},
		{"leading zero", files(`{"Path": "a", "Size": 01, ` + times + `}`), parse + `file size is not an integer: 01`},
		{"fraction", files(`{"Path": "a", "Size": 1.5, ` + times + `}`), parse + `file size is not an integer: 1.5`},
		{"huge size", files(`{"Path": "a", "Size": 9223372036854775808, ` + times + `}`), parse + `file size 9223372036854775808 is out of range`},
		{"endless size", files(`{"Path": "a", "Size": 1` + strings.Repeat("0", 1000) + `}`), parse + `file size is not an integer: 100000000000000000000`},
		{"checksum alone", files(`{"Path": "a", "Size": 0, ` + times + `, "Checksum": "00"}`), parse + `checksum without algorithm`},
		{"bad algorithm", files(`{"Path": "a", "Size": 0, ` + times + `, "Checksum-Algorithm": "MD5"}`), `unrecognized checksum algorithm: "MD5"`},
		{"bad checksum", files(`{"Path": "a", "Size": 0, ` + times + `, "Checksum-Algorithm": "CRC32C", "Checksum": "0g"}`), `invalid checksum for file "a": "0g"`},
		{"short checksum", files(`{"Path": "a", "Size": 0, ` + times + `, "Checksum-Algorithm": "CRC32C", "Checksum": "00"}`), `file "a" has checksum of length 1, but expected 4`},
		{"unknown file field", files(`{"Path": "a", "Mode": 0}`), parse + `unexpected file field: "Mode"`},
		{"field of another case", files(`{"path": "a"}`), parse + `unexpected file field: "path"`},
		{"trailing comma", files(`{"Path": "a", "Size": 0, ` + times + `},`), parse + `expected '{', found ']'`},
		{"control character", files("{\"Path\": \"a\x01\"}"), parse + `control character 0x01 in string`},
		{"not UTF-8", files("{\"Path\": \"\xff\"}"), parse + `string is not UTF-8`},
		{"surrogate", files(`{"Path": "\ud83d"}`), parse + `unpaired surrogate in string`},
		{"surrogates", files(`{"Path": "\ude00\ud83d"}`), parse + `unpaired surrogate in string`},
		{"bad escape", files(`{"Path": "\x"}`), parse + `invalid escape 'x' in string`},
		{"bad code unit", files(`{"Path": "\u00g0"}`), parse + `invalid escape "\u00g0" in string`},

		{"no timeline", sealed(version + `"Files": [], "WAL-Ranges": [{}],` + "\n"), parse + `missing timeline`},
		{"timeline in words", sealed(version + `"Files": [], "WAL-Ranges": [{"Timeline": "1"}],` + "\n"), parse + `timeline is not an integer: "1"`},
		{"unknown field of a WAL range", sealed(version + `"Files": [], "WAL-Ranges": [{"Oops": 1}],` + "\n"), parse + `unexpected WAL range field: "Oops"`},
		{"timeline 0", sealed(version + `"Files": [], "WAL-Ranges": [{"Timeline": 0}],` + "\n"), parse + `timeline 0 is out of range`},
		{"no start", sealed(version + `"Files": [], "WAL-Ranges": [{"Timeline": 1, "End-LSN": "0/0"}],` + "\n"), parse + `missing start LSN`},
		{"no end", sealed(version + `"Files": [], "WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/0"}],` + "\n"), parse + `missing end LSN`},
		{"bad start", sealed(version + `"Files": [], "WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0"}],` + "\n"), parse + `could not parse start LSN: "0"`},
		{"bad end", sealed(version + `"Files": [], "WAL-Ranges": [{"Timeline": 1, "End-LSN": "0"}],` + "\n"), parse + `could not parse end LSN: "0"`},

		{"no checksum", version + `"Files": [], "WAL-Ranges": []}` + "\n", `manifest has no checksum`},
		{"checksum mismatch", strings.Replace(good, `"a"`, `"b"`, 1), `manifest checksum mismatch`},
		{"bad manifest checksum", version + "\"Files\": [" + tail + "\"Manifest-Checksum\": \"0\"}\n", `invalid manifest checksum: "0"`},
		{"no last line feed", strings.TrimSuffix(good, "\n"), parse + `last line not newline-terminated`},
		{"field after the checksum", strings.TrimSuffix(good, "}\n") + ", \"Files\": []}\n", parse + `manifest checksum is not the last field`},
		{"all in one line", strings.ReplaceAll(good, "\n", " ") + "\n", parse + `manifest checksum is not in the last line`},
		{"garbage", good + "x", parse + `unexpected text after the manifest`},
		{"NUL", good + "\x00", parse + `unexpected text after the manifest`},
		{"empty line", good + "\n", parse + `manifest checksum is not in the last line`},
	} {
		_, err := manifest.Read(strings.NewReader(test.text))
		protocoltest.WantText(t, test.name, err, test.want)
	}
}

func TestReadManifestReadError(t *testing.T) {
	broken := errors.New("broken")
	good := string(writeManifest(t, sampleManifest(1), false))
	for _, cut := range []int{0, 1, 60, 200, len(good) - 1, len(good)} {
		_, err := manifest.Read(io.MultiReader(strings.NewReader(good[:cut]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", cut, err)
		}
	}
}

func TestManifestWriterRefuses(t *testing.T) {
	var out bytes.Buffer
	w := manifest.NewWriter(&out, manifest.Options{Version: 1})
	for _, test := range []struct {
		file manifest.File
		want string
	}{
		{manifest.File{Path: "/a"}, `could not add file to backup manifest: ERROR: invalid file path "/a" (SQLSTATE 22023)`},
		{manifest.File{Path: "a", Size: -1, Checksum: make([]byte, 4)}, `could not add file "a" to backup manifest: size -1, CRC32C checksum of 4 bytes`},
		{manifest.File{Path: "a"}, `could not add file "a" to backup manifest: size 0, CRC32C checksum of 0 bytes`},
		{manifest.File{Path: "a", Algorithm: manifest.ChecksumNone, Checksum: make([]byte, 4)}, `could not add file "a" to backup manifest: size 0, NONE checksum of 4 bytes`},
	} {
		protocoltest.WantText(t, test.file.Path, w.AddFile(test.file), test.want)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := manifest.Read(&out); err != nil || len(m.Files) != 0 {
		t.Errorf("after refused files: %+v, %v", m, err)
	}
	protocoltest.WantText(t, "AddFile after Close", w.AddFile(manifest.File{}), "backup manifest is closed")
	protocoltest.WantText(t, "Close after Close", w.Close(), "backup manifest is closed")

	w = manifest.NewWriter(io.Discard, manifest.Options{})
	protocoltest.WantText(t, "no version", w.Close(), "unsupported backup manifest version 0")
}

func TestManifestWriterWriteError(t *testing.T) {
	broken := errors.New("broken")
	w := manifest.NewWriter(brokenWriter{broken}, manifest.Options{Version: 1})
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: %v", err)
	}
	if err := w.AddFile(sampleManifest(1).Files[0]); !errors.Is(err, broken) {
		t.Errorf("AddFile after an error: %v", err)
	}

	w = manifest.NewWriter(brokenWriter{broken}, manifest.Options{Version: 1})
	var err error
	for range 1000 { // more than the buffers hold
		if err = w.AddFile(sampleManifest(1).Files[0]); err != nil {
			break
		}
	}
	protocoltest.WantText(t, "AddFile", err, "could not write backup manifest: broken")
	protocoltest.WantText(t, "Close after an error", w.Close(), "could not write backup manifest: broken")
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func FuzzReadManifest(f *testing.F) {
	for _, version := range []int{1, 2} {
		f.Add(string(writeManifest(f, sampleManifest(version), false)), false)
		f.Add(`{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [{"Path":"\u0041"}],`+"\n", true)
	}
	f.Fuzz(func(t *testing.T, text string, seal bool) {
		if seal {
			text = sealed(text)
		}
		m, err := manifest.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for i, f := range m.Files { // one that verification does not mind is not written
			m.Files[i].ModTime = protocol.FileTime(f.ModTime).UTC()
		}
		again, err := manifest.Read(bytes.NewReader(writeManifest(t, m, false)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}

func BenchmarkManifestWriter(b *testing.B) {
	file := sampleManifest(1).Files[0]
	w := manifest.NewWriter(io.Discard, manifest.Options{Version: 1})
	b.ReportAllocs()
	for b.Loop() {
		if err := w.AddFile(file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadManifest(b *testing.B) {
	m := sampleManifest(1)
	sample := m.Files[1]
	for i := range 10_000 {
		sample.Path = fmt.Sprintf("base/16384/%d", i)
		m.Files = append(m.Files, sample)
	}
	text := writeManifest(b, m, false)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Read(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
