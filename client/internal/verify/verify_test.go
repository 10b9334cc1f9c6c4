package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	segmentSize = 1 << 20
	redo        = 0x100028
	switchpoint = 0x240000 // where timeline 2 begins
	stop        = 0x340000
)

// sample is a backup that is made without PostgreSQL: its files, by their paths.
type sample struct {
	files  map[string]string
	ranges []manifest.WALRange
	hidden []string // files that the manifest does not have
}

// newSample has the backup of a standby, or of a cluster that was shut down, whose WAL leads
// from timeline 1 to 2.
func newSample(shutDown bool) *sample {
	first := walrecordtest.New(15, 7, segmentSize, 1, redo)
	checkpoint := protocol.LSN(redo)
	if shutDown {
		first.Shutdown()
	} else {
		first.FillTo(0x140100)
		checkpoint = first.Checkpoint(redo)
	}
	first.FillTo(switchpoint)
	second := first.Branch(2)
	second.FillTo(stop)
	s := &sample{
		files: map[string]string{
			"PG_VERSION":        "15\n",
			"base/1/1":          strings.Repeat("page", 2048),
			"pg_tblspc/7/PG/1":  "of a tablespace",
			"global/pg_control": string(control(checkpoint).Encode()),
		},
		ranges: []manifest.WALRange{{Timeline: 2, Start: switchpoint, End: stop}, {Timeline: 1, Start: redo, End: switchpoint}},
	}
	if !shutDown {
		s.files["backup_label"] = protocol.BackupLabel{
			StartPtr: redo, WALFile: protocol.WALFileName(1, redo, segmentSize), Checkpoint: checkpoint,
			Method: "streamed", From: "standby", StartTime: "2026-01-02 03:04:05 UTC", StartTimeline: 1,
		}.String()
	}
	s.hide("pg_wal/000000010000000000000001", first.Segment(0x100000))
	s.hide("pg_wal/000000020000000000000002", second.Segment(0x200000))
	s.hide("pg_wal/000000020000000000000003", second.Segment(0x300000))
	s.hide("pg_wal/00000002.history", "1\t0/240000\tno recovery target specified\n")
	return s
}

func control(checkpoint protocol.LSN) controlfile.Control {
	return controlfile.Control{
		SystemID: 7, Version: 1300, Checkpoint: checkpoint, Redo: redo, Timeline: 1, PrevTimeline: 1,
		BlockSize: 8192, RelSegSize: 131072, WALBlockSize: 8192, WALSegmentSize: segmentSize,
	}
}

func (s *sample) hide(path, content string) {
	s.files[path] = content
	s.hidden = append(s.hidden, path)
}

func (s *sample) manifest(t testing.TB) []byte {
	t.Helper()
	var text bytes.Buffer
	w := manifest.NewWriter(&text, manifest.Options{Version: 1})
	for path, content := range s.files {
		if slices.Contains(s.hidden, path) {
			continue
		}
		sum := manifest.ChecksumSHA256.New()
		sum.Write([]byte(content))
		must(t, w.AddFile(manifest.File{Path: path, Size: int64(len(content)), ModTime: time.Unix(0, 0), Algorithm: manifest.ChecksumSHA256, Checksum: sum.Sum(nil)}))
	}
	must(t, w.Close(s.ranges...))
	return text.Bytes()
}

// writePlain writes the sample as a data directory.
func (s *sample) writePlain(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/backup_manifest", s.manifest(t), 0o600))
	for path, content := range s.files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600))
	}
	for _, path := range protocol.EmptyDirectories(13) {
		must(t, os.MkdirAll(filepath.Join(dir, path), 0o700))
	}
	return dir
}

// A directory that holds no file, and without which PostgreSQL does not start, is missed.
func TestRun_MissingDirectories(t *testing.T) {
	for _, path := range protocol.EmptyDirectories(15) {
		if path == "pg_tblspc" {
			continue // it holds one
		}
		s := newSample(false)
		dir := s.writePlain(t)
		must(t, os.Remove(filepath.Join(dir, path)))
		report, err := Run(t.Context(), dir, Config{Expect: ignoreCounts, Done: ignoreCounts})
		must(t, err)
		if len(report.Problems) != 1 || report.Problems[0].Kind != Missing || report.Problems[0].Path != path || !strings.Contains(report.Problems[0].Hint, "mkdir") {
			t.Errorf("without %s: %v", path, report.Problems)
		}
		report, err = Run(t.Context(), dir, Config{Ignore: []string{path}, Expect: ignoreCounts, Done: ignoreCounts})
		must(t, err)
		if len(report.Problems) > 0 {
			t.Errorf("%s is ignored: %v", path, report.Problems)
		}
	}
}

func ignoreCounts(int64, int64) {}

// writeTar writes it as archives, the WAL in an archive of its own or in base.tar.
func (s *sample) writeTar(t testing.TB, ownWAL bool) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/backup_manifest", s.manifest(t), 0o600))
	archives := map[string]*bytes.Buffer{}
	writers := map[string]*tar.Writer{}
	for path, content := range s.files {
		name := "base.tar"
		if rest, space := strings.CutPrefix(path, "pg_tblspc/7/"); space {
			name, path = "7.tar", rest
		} else if rest, wal := strings.CutPrefix(path, "pg_wal/"); wal && ownWAL {
			name, path = "pg_wal.tar", rest
		}
		if writers[name] == nil {
			archives[name] = &bytes.Buffer{}
			writers[name] = tar.NewWriter(archives[name])
			must(t, writers[name].WriteHeader(&tar.Header{Name: "./pg_twophase/", Typeflag: tar.TypeDir, Mode: 0o700}))
		}
		must(t, writers[name].WriteHeader(&tar.Header{Name: "./" + path, Size: int64(len(content)), Mode: 0o600}))
		_, err := writers[name].Write([]byte(content))
		must(t, err)
	}
	for name, archive := range archives {
		must(t, writers[name].Close())
		must(t, os.WriteFile(filepath.Join(dir, name), archive.Bytes(), 0o600))
	}
	return dir
}

// appendMembers writes members without content behind those of an archive.
func appendMembers(t testing.TB, archive string, members ...tar.Header) {
	t.Helper()
	const end = 1024 // two blocks of zeros
	content, err := os.ReadFile(archive)
	must(t, err)
	more := bytes.NewBuffer(content[:len(content)-end])
	w := tar.NewWriter(more)
	for _, h := range members {
		must(t, w.WriteHeader(&h))
	}
	must(t, w.Close())
	must(t, os.WriteFile(archive, more.Bytes(), 0o600))
}

// counted is a verification's config, and what the verification has said of its progress.
type counted struct {
	Config
	files, bytes, allFiles, allBytes atomic.Int64
}

func count(c Config) *counted {
	counts := &counted{Config: c}
	counts.Expect = func(files, bytes int64) {
		counts.allFiles.Store(files)
		counts.allBytes.Store(bytes)
	}
	counts.Done = func(files, bytes int64) {
		counts.files.Add(files)
		counts.bytes.Add(bytes)
	}
	return counts
}

func messages(t testing.TB, dir string, c Config) []string {
	t.Helper()
	report, err := Run(t.Context(), dir, count(c).Config)
	must(t, err)
	var all []string
	for _, p := range report.Problems {
		all = append(all, p.Message)
	}
	return all
}

// The WAL of a backup may lead through timelines, lie in archives or elsewhere, and is held
// against the label, or against pg_control where there is none.
func TestRun_WAL(t *testing.T) {
	const failed = "WAL parsing failed for timeline 2: "
	for _, test := range []struct {
		name     string
		shutDown bool
		change   func(s *sample)
		want     []string
	}{
		{"good", false, func(*sample) {}, nil},
		{"no label, not the checkpoint of a shutdown", false, func(s *sample) { delete(s.files, "backup_label") }, []string{failed + "the checkpoint at 0/140100 is not the one of a shutdown"}},
		{"shut down", true, func(*sample) {}, nil},
		{"shut down, another checkpoint", true, func(s *sample) { s.files["global/pg_control"] = string(control(0x100060).Encode()) }, []string{failed + "the checkpoint that begins at 0/100028 is at 0/100028, and global/pg_control has it at 0/100060"}},
		{"no history", false, func(s *sample) { delete(s.files, "pg_wal/00000002.history") }, []string{failed + `could not find file "00000002.history"`}},
		{"another history", false, func(s *sample) { s.files["pg_wal/00000002.history"] = "1\t0/250000\tx\n" }, []string{failed + `timeline 1 ends at 0/240000 by the manifest, and at 0/250000 by the file "00000002.history"`}},
		{"no history but words", false, func(s *sample) { s.files["pg_wal/00000002.history"] = "one\n" }, []string{failed + `syntax error in file "00000002.history": "one\n"`}},
		{"the segment of the old timeline", false, func(s *sample) {
			s.hide("pg_wal/000000010000000000000002", s.files["pg_wal/000000020000000000000002"])
			delete(s.files, "pg_wal/000000020000000000000002")
		}, []string{failed + `could not find file "000000020000000000000002"`}},
		{"last segment missing", false, func(s *sample) { delete(s.files, "pg_wal/000000020000000000000003") }, []string{failed + `could not find file "000000020000000000000003"`}},
		{"segment too short", false, func(s *sample) { s.files["pg_wal/000000020000000000000003"] = "short" }, []string{failed + `unexpected WAL file size "000000020000000000000003": 5 bytes`}},
		{"segment of a timeline that is not named", false, func(s *sample) {
			s.files["pg_wal/000000010000000000000001"] = s.files["pg_wal/000000020000000000000002"]
		}, []string{failed + "invalid write-ahead log at 0/100000: the page is the one of 0/200000"}},
		{"another label", false, func(s *sample) {
			s.files["backup_label"] = strings.Replace(s.files["backup_label"], "LOCATION: 0/100028", "LOCATION: 0/100060", 1)
		}, []string{failed + "the manifest has it begin at 0/100028, and the label at 0/100060"}},
		{"of a primary, without its end", false, func(s *sample) {
			s.files["backup_label"] = strings.Replace(s.files["backup_label"], "standby", "primary", 1)
		}, []string{failed + "there is no record before 0/340000 that ends the backup which started at 0/100028"}},
		{"ranges that are apart", false, func(s *sample) { s.ranges[1].End = 0x230000 }, []string{
			"WAL parsing failed for timeline 1: could not find file \"000000010000000000000002\"",
		}},
		{"the wrong range", false, func(s *sample) { s.ranges = s.ranges[:1] }, []string{failed + "the manifest has it begin at 0/240000, and the label at 0/100028"}},
		{"no control file", false, func(s *sample) { s.hide("global/pg_control", ""); delete(s.files, "global/pg_control") }, []string{`write-ahead log was not read: "global/pg_control" does not tell the size of its segments`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSample(test.shutDown)
			test.change(s)
			for name, dir := range map[string]string{"plain": s.writePlain(t), "tar": s.writeTar(t, true), "tar, fetched": s.writeTar(t, false)} {
				for _, jobs := range []int{0, 3} {
					if diff := cmp.Diff(test.want, messages(t, dir, Config{Jobs: jobs})); diff != "" {
						t.Errorf("%s with %d jobs (-want +got):\n%s", name, jobs, diff)
					}
				}
				if got := messages(t, dir, Config{SkipWAL: true}); got != nil {
					t.Errorf("%s without its WAL: %q", name, got)
				}
			}
		})
	}
}

// A control file of after the backup is not the backup's, whatever the manifest's CRC-32C says.
func TestRun_ControlFileOfAStartedServer(t *testing.T) {
	const started = `"global/pg_control": its checkpoint is at 0/900060, and the backup ends at 0/340000: a server was started from it`
	s := newSample(false)
	s.files["global/pg_control"] = string(control(0x900060).Encode())
	for name, dir := range map[string]string{"plain": s.writePlain(t), "tar": s.writeTar(t, true)} {
		if diff := cmp.Diff([]string{started}, messages(t, dir, Config{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The WAL may be in a directory, in one with pg_wal in it, or in an archive.
func TestRun_WALPath(t *testing.T) {
	s := newSample(false)
	plain, archives, one := s.writePlain(t), s.writeTar(t, true), s.writeTar(t, false)
	without := newSample(false)
	for _, path := range without.hidden {
		delete(without.files, path)
	}
	for _, dir := range []string{without.writePlain(t), without.writeTar(t, true)} {
		report, err := Run(t.Context(), dir, count(Config{}).Config)
		must(t, err)
		if len(report.Problems) != 1 || report.Problems[0].Kind != WAL || !strings.Contains(report.Problems[0].Hint, "--no-parse-wal") {
			t.Errorf("without WAL: %+v", report.Problems)
		}
		for _, path := range []string{plain, plain + "/pg_wal", archives, archives + "/pg_wal.tar", one, one + "/base.tar"} {
			if got := messages(t, dir, Config{WALPath: path}); got != nil {
				t.Errorf("with WAL from %s: %q", path, got)
			}
		}
		want := []string{`could not open directory "/nowhere": no such file or directory`}
		if diff := cmp.Diff(want, messages(t, dir, Config{WALPath: "/nowhere"})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The manifest of a cluster that was not running names no WAL. A server needs it all the same.
func TestRun_UnnamedWAL(t *testing.T) {
	for _, test := range []struct {
		name   string
		label  bool
		change func(t *testing.T, wal string)
		want   []string
	}{
		{"good", false, func(*testing.T, string) {}, nil},
		{"pg_wal is a link", false, func(t *testing.T, wal string) {
			elsewhere := filepath.Join(t.TempDir(), "wal")
			must(t, os.Rename(wal, elsewhere))
			must(t, os.Symlink(elsewhere, wal))
		}, nil},
		{"pg_wal dangles", false, func(t *testing.T, wal string) {
			must(t, os.RemoveAll(wal))
			must(t, os.Symlink("/nowhere", wal))
		}, []string{`could not open directory "pg_wal": no such file or directory`}},
		{"pg_wal dangles beside a label", true, func(t *testing.T, wal string) {
			must(t, os.RemoveAll(wal))
			must(t, os.Symlink("/nowhere", wal))
		}, []string{`could not open directory "pg_wal": no such file or directory`}},
		{"pg_wal leads to another directory", false, func(t *testing.T, wal string) {
			must(t, os.RemoveAll(wal))
			must(t, os.Symlink(t.TempDir(), wal))
		}, []string{`could not find file "000000010000000000000001"`}},
		{"no WAL beside a label", true, func(t *testing.T, wal string) {
			must(t, os.RemoveAll(wal))
			must(t, os.Mkdir(wal, 0o700))
		}, nil},
		{"no pg_wal", false, func(t *testing.T, wal string) { must(t, os.RemoveAll(wal)) },
			[]string{`could not find file "000000010000000000000001"`}},
		{"short", false, func(t *testing.T, wal string) {
			must(t, os.Truncate(wal+"/000000010000000000000001", 8192))
		}, []string{`could not find file "000000010000000000000001"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSample(!test.label)
			s.ranges = nil
			dir := s.writePlain(t)
			test.change(t, dir+"/pg_wal")
			if diff := cmp.Diff(test.want, messages(t, dir, Config{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := messages(t, dir, Config{SkipWAL: true}); got != nil {
				t.Errorf("without its WAL: %q", got)
			}
		})
	}
}

// Of many files that are missing for one reason, the reason is told.
func TestRun_Archives(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		{"no base.tar", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/base.tar")) }, []string{
			`archive "base.tar" is missing: 4 files of the manifest are in no archive`,
		}},
		{"no archive of the tablespace", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/7.tar")) }, []string{
			`archive "7.tar" is missing: 1 files of the manifest are in no archive`,
		}},
		{"swapped", func(t *testing.T, dir string) {
			must(t, errors.Join(os.Rename(dir+"/base.tar", dir+"/x"), os.Rename(dir+"/7.tar", dir+"/base.tar"), os.Rename(dir+"/x", dir+"/7.tar")))
		}, []string{
			`none of the 4 files in archive "7.tar" is in the manifest`,
			`file "PG/1" is present in archive "base.tar" but not in the manifest`,
			`4 of 4 files of the manifest were not found in archive "base.tar"`,
			`"pg_tblspc/7/PG/1" is present in the manifest but not on disk`,
		}},
		{"no archive", func(t *testing.T, dir string) {
			must(t, os.WriteFile(dir+"/base.tar", bytes.Repeat([]byte("x"), 1024), 0o600))
		}, []string{
			`4 of 4 files of the manifest were not found in archive "base.tar"`,
			`could not read archive "base.tar": input file does not appear to be a valid tar archive`,
		}},
		{"named as compressed", func(t *testing.T, dir string) { must(t, os.Rename(dir+"/base.tar", dir+"/base.tar.gz")) }, []string{
			`4 of 4 files of the manifest were not found in archive "base.tar.gz"`,
			`could not read archive "base.tar.gz": could not decompress data: gzip: invalid header`,
		}},
		{"links over files", func(t *testing.T, dir string) {
			appendMembers(t, dir+"/base.tar",
				tar.Header{Typeflag: tar.TypeSymlink, Name: "./PG_VERSION", Linkname: "/dev/null"},
				tar.Header{Typeflag: tar.TypeLink, Name: "global/pg_control", Linkname: "PG_VERSION"},
				tar.Header{Typeflag: tar.TypeSymlink, Name: "pg_xact", Linkname: "/tmp"},
				tar.Header{Typeflag: tar.TypeSymlink, Name: "pg_tblspc/7", Linkname: "/srv/fast"})
		}, []string{
			`"PG_VERSION" in archive "base.tar" is neither a file nor a directory`,
			`"global/pg_control" in archive "base.tar" is neither a file nor a directory`,
			`"pg_xact" in archive "base.tar" is neither a file nor a directory`,
		}},
		{"other files", func(t *testing.T, dir string) {
			must(t, errors.Join(os.WriteFile(dir+"/0.tar", nil, 0o600), os.WriteFile(dir+"/base.tar.bz2", nil, 0o600), os.Mkdir(dir+"/9.tar", 0o700)))
		}, []string{
			`file "0.tar" is not expected in a tar format backup`, `file "9.tar" is not expected in a tar format backup`,
			`file "base.tar.bz2" is not expected in a tar format backup`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newSample(false).writeTar(t, true)
			test.spoil(t, dir)
			if diff := cmp.Diff(test.want, messages(t, dir, Config{SkipWAL: true})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := messages(t, dir, Config{SkipWAL: true, FirstOnly: true}); len(got) != 1 {
				t.Errorf("the first only: %q", got)
			}
		})
	}
}

func TestRun_Unfinished(t *testing.T) {
	for _, name := range []string{"pgparallel.incomplete", "base.tar.incomplete", "7.tar.gz.incomplete", "global/pg_control.incomplete"} {
		dir := newSample(false).writePlain(t)
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		must(t, os.Remove(dir+"/backup_manifest"))
		_, err := Run(t.Context(), dir, count(Config{}).Config)
		if err == nil || !strings.HasSuffix(err.Error(), `holds an unfinished backup: there is "`+name+`" in it`) {
			t.Errorf("with %s: %v", name, err)
		}
	}
}

// What was expected to be verified is what has been, in the end.
func TestRun_Progress(t *testing.T) {
	s := newSample(false)
	for _, dir := range []string{s.writePlain(t), s.writeTar(t, true)} {
		for _, skip := range []bool{false, true} {
			c := count(Config{Jobs: 2, SkipChecksums: skip})
			report, err := Run(t.Context(), dir, c.Config)
			must(t, err)
			if c.files.Load() != c.allFiles.Load() || c.bytes.Load() != c.allBytes.Load() || report.Files != 5 || report.Bytes != c.bytes.Load() || (report.Bytes == 0) != skip {
				t.Errorf("%d of %d files, %d of %d bytes; %+v", c.files.Load(), c.allFiles.Load(), c.bytes.Load(), c.allBytes.Load(), report)
			}
		}
	}
}

func TestRun_Canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := newSample(false)
	for _, dir := range []string{s.writePlain(t), s.writeTar(t, true)} {
		c := count(Config{})
		c.Expect = func(int64, int64) { cancel() }
		if _, err := Run(ctx, dir, c.Config); !errors.Is(err, context.Canceled) {
			t.Errorf("error of a verification that was canceled: %v", err)
		}
	}
}

// Whatever is in the place of an archive, verification comes to an end, and does not find it
// good unless it is.
func FuzzRun_Archive(f *testing.F) {
	s := newSample(false)
	delete(s.files, "pg_tblspc/7/PG/1")
	s.ranges = nil
	for _, path := range s.hidden {
		delete(s.files, path)
	}
	dir := s.writeTar(f, true)
	good, err := os.ReadFile(dir + "/base.tar")
	must(f, err)
	f.Add(good, uint8(0))
	f.Add(good[:3000], uint8(0))
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(1))
	f.Add([]byte{4, 0x22, 0x4d, 0x18}, uint8(2))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd}, uint8(3))
	f.Fuzz(func(t *testing.T, content []byte, suffix uint8) {
		dir := t.TempDir()
		must(t, os.WriteFile(dir+"/backup_manifest", s.manifest(t), 0o600))
		name := "/base.tar" + []string{"", ".gz", ".lz4", ".zst"}[suffix%4]
		must(t, os.WriteFile(dir+name, content, 0o600))
		if got := messages(t, dir, Config{}); got == nil && !bytes.Contains(content, []byte("ustar")) && suffix%4 == 0 {
			t.Errorf("%d bytes are a good backup", len(content))
		}
	})
}
