package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/verify"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// damage spoils a backup. With stricter ours sees what pg_verifybackup does not look at.
type damage struct {
	name     string
	spoil    func(t *testing.T, b backup)
	stricter func(major int) bool // nil: never
}

// backup is a copy of a backup that may be spoilt. Its files are those of other copies, too:
// they are replaced, and not written.
type backup struct {
	dir     string
	foreign string // the same kind of backup, of another cluster
	suffix  string // of its archives
}

func (b backup) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(b.dir, name))
	must(t, err)
	return content
}

func (b backup) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	must(t, os.RemoveAll(path))
	must(t, os.WriteFile(path, content, 0o644))
}

// find is the only file that matches a pattern.
func (b backup) find(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, pattern))
	must(t, err)
	if len(found) == 0 {
		t.Fatalf("there is no %s", pattern)
	}
	name, err := filepath.Rel(b.dir, found[0])
	must(t, err)
	return name
}

func flip(pattern string, at int) func(*testing.T, backup) {
	return func(t *testing.T, b backup) {
		name := b.find(t, pattern)
		content := b.read(t, name)
		content[(at+len(content))%len(content)] ^= 1
		b.write(t, name, content)
	}
}

func truncate(pattern string, size func(n int) int) func(*testing.T, backup) {
	return func(t *testing.T, b backup) {
		name := b.find(t, pattern)
		content := b.read(t, name)
		b.write(t, name, content[:size(len(content))])
	}
}

func half(n int) int { return n / 2 }

func remove(pattern string) func(*testing.T, backup) {
	return func(t *testing.T, b backup) { must(t, os.Remove(filepath.Join(b.dir, b.find(t, pattern)))) }
}

func add(name string) func(*testing.T, backup) {
	return func(t *testing.T, b backup) { b.write(t, name, []byte("something")) }
}

// swapForeign takes a file from the backup of another cluster.
func swapForeign(pattern string) func(*testing.T, backup) {
	return func(t *testing.T, b backup) {
		other := backup{dir: b.foreign}
		b.write(t, b.find(t, pattern), other.read(t, other.find(t, pattern)))
	}
}

func replaceInManifest(old, with string) func(*testing.T, backup) {
	return func(t *testing.T, b backup) {
		text := b.read(t, "backup_manifest")
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("the manifest has no %q", old)
		}
		b.write(t, "backup_manifest", bytes.Replace(text, []byte(old), []byte(with), 1))
	}
}

// reseal writes the manifest anew, with another content and the right checksum.
func reseal(change func(*manifest.Manifest)) func(*testing.T, backup) {
	return func(t *testing.T, b backup) {
		m, err := manifest.Read(bytes.NewReader(b.read(t, "backup_manifest")))
		must(t, err)
		change(m)
		var text bytes.Buffer
		w := manifest.NewWriter(&text, manifest.Options{Version: m.Version, SystemID: m.SystemID})
		for _, f := range m.Files {
			must(t, w.AddFile(f))
		}
		must(t, w.Close(m.WALRanges...))
		b.write(t, "backup_manifest", text.Bytes())
	}
}

func always(int) bool { return true }

// ofManifest1 are the versions whose manifest has no system identifier.
func ofManifest1(major int) bool { return major < 17 }

func nothing(*testing.T, backup) {}

const segments = "0000000?????????????????"

var manifestDamages = []damage{
	{"nothing", nothing, nil},
	{"no manifest", remove("backup_manifest"), nil},
	{"manifest cut", truncate("backup_manifest", half), nil},
	{"manifest changed", replaceInManifest(`"PG_VERSION"`, `"PG_VERSIOM"`), nil},
	{"manifest checksum changed", flip("backup_manifest", -6), nil},
	{"manifest says another size", reseal(func(m *manifest.Manifest) { m.Files[3].Size++ }), nil},
	{"manifest says another checksum", reseal(func(m *manifest.Manifest) { m.Files[3].Checksum[0] ^= 1 }), nil},
	{"manifest lacks a file", reseal(func(m *manifest.Manifest) { m.Files = m.Files[1:] }), nil},
	{"manifest has one file more", reseal(func(m *manifest.Manifest) {
		f := m.Files[0]
		f.Path += "x"
		m.Files = append(m.Files, f)
	}), nil},
	{"manifest names no WAL", reseal(func(m *manifest.Manifest) { m.WALRanges = nil }), nil},
}

var plainDamages = append([]damage{
	{"bit in a relation", flip("base/1/1259", 5000), nil},
	{"bit in a relation of a tablespace", flip("pg_tblspc/*/*/*/*", 100), nil},
	{"bit in PG_VERSION", flip("PG_VERSION", 0), nil},
	{"bit in pg_xact", flip("pg_xact/0000", 100), nil},
	{"bit in pg_control", flip("global/pg_control", 100), nil},
	{"bit in backup_label", flip("backup_label", 25), nil},
	{"bit in postgresql.conf", flip("postgresql.conf", 25), nil},
	{"bit in postgresql.auto.conf", flip("postgresql.auto.conf", 5), nil},
	{"relation missing", remove("base/1/1259"), nil},
	{"file of a tablespace missing", remove("pg_tblspc/*/*/*/*"), nil},
	{"pg_control missing", remove("global/pg_control"), nil},
	{"file too many", add("base/1/99999"), nil},
	{"standby.signal", add("standby.signal"), nil},
	{"relation cut", truncate("base/1/1259", half), nil},
	{"relation empty", truncate("base/1/1259", func(int) int { return 0 }), nil},
	{"pg_control of another cluster", swapForeign("global/pg_control"), ofManifest1},

	{"segment missing", remove("pg_wal/" + segments), nil},
	{"segment cut", truncate("pg_wal/"+segments, func(int) int { return 100 }), nil},
	{"segment empty", truncate("pg_wal/"+segments, func(int) int { return 0 }), nil},
	{"bit in the first record", flip("pg_wal/"+segments, 0x28+30), nil},
	{"bit in the header of a segment", flip("pg_wal/"+segments, 2), nil},
	{"bit in the system identifier of a segment", flip("pg_wal/"+segments, 24), always},
	{"bit behind the end of the WAL", flip("pg_wal/"+segments, -1), nil},
	{"segment of zeros", func(t *testing.T, b backup) { b.write(t, b.find(t, "pg_wal/"+segments), make([]byte, 1<<20)) }, nil},
	{"segment of another cluster", swapForeign("pg_wal/" + segments), always},
}, manifestDamages...)

var tarDamages = append([]damage{
	{"base.tar cut", truncate("base.tar*", half), nil},
	{"base.tar empty", truncate("base.tar*", func(int) int { return 0 }), nil},
	{"bit in base.tar", flip("base.tar*", 1<<20), nil},
	{"base.tar is no archive", func(t *testing.T, b backup) { b.write(t, b.find(t, "base.tar*"), []byte(strings.Repeat("x", 4096))) }, nil},
	{"base.tar missing", remove("base.tar*"), nil},
	{"archive of a tablespace missing", remove("[0-9]*.tar*"), nil},
	{"archive of a tablespace cut", truncate("[0-9]*.tar*", half), nil},
	{"archives swapped", func(t *testing.T, b backup) {
		base, space := b.find(t, "base.tar*"), b.find(t, "[0-9]*.tar*")
		content := b.read(t, base)
		b.write(t, base, b.read(t, space))
		b.write(t, space, content)
	}, nil},
	{"base.tar of another cluster", swapForeign("base.tar*"), nil},
	{"file too many", add("something"), nil},
	{"archive too many", func(t *testing.T, b backup) {
		b.write(t, "99999.tar"+b.suffix, b.read(t, b.find(t, "[0-9]*.tar*")))
	}, nil},
	{"pg_wal.tar missing", remove("pg_wal.tar*"), nil},
	{"pg_wal.tar cut", truncate("pg_wal.tar*", func(n int) int { return n / 100 }), always}, // what pg_waldump needs may be there
	{"pg_wal.tar empty", truncate("pg_wal.tar*", func(int) int { return 0 }), nil},
	{"pg_wal.tar of another cluster", swapForeign("pg_wal.tar*"), always},
}, manifestDamages...)

// source is a cluster with a tablespace, and another one that is like it.
func sources(t *testing.T, p postgres.Programs) (clusters [2]*postgres.Cluster) {
	for i := range clusters {
		c := p.NewForeignCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
		must(t, c.Start(t.Context()))
		space := filepath.Join(p.TempDir(t), "space")
		must(t, os.Mkdir(space, 0o700))
		must(t, p.Own(space))
		_, err := c.SQL(t.Context(), "postgres", fmt.Sprintf("create tablespace s location '%s'", space))
		must(t, err)
		_, err = c.SQL(t.Context(), "postgres", "create table a tablespace s as select generate_series(1, 1000)")
		must(t, err)
		clusters[i] = c
	}
	return clusters
}

// take has pg_basebackup take a backup of a cluster.
func take(t *testing.T, c *postgres.Cluster, args ...string) string {
	t.Helper()
	dir := filepath.Join(c.Programs.TempDir(t), "backup")
	space, err := c.SQL(t.Context(), "postgres", "select pg_tablespace_location(oid) from pg_tablespace where spcname = 's'")
	must(t, err)
	space = strings.TrimSpace(space)
	_, err = c.Programs.Run(t.Context(), "pg_basebackup", append([]string{
		"-D", dir, "-d", c.ConnString("postgres"), "-c", "fast", "--no-sync", "-T", space + "=" + dir + ".space",
	}, args...)...)
	must(t, err)
	return dir
}

// compare spoils copies of a backup, and has PostgreSQL and us judge them.
func compare(t *testing.T, p postgres.Programs, good backup, damages []damage, args []string, c verify.Config) {
	for i, d := range damages {
		if len(args) > 0 && strings.Contains(d.name, "pg_wal.tar missing") {
			continue // with -n it is of no interest
		}
		t.Run(d.name, func(t *testing.T) {
			b := backup{dir: fmt.Sprintf("%s.%d", good.dir, i), foreign: good.foreign, suffix: good.suffix}
			out, err := exec.Command("cp", "-al", good.dir, b.dir).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			defer os.RemoveAll(b.dir)
			unshareTablespaces(t, b)
			d.spoil(t, b)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			said, err := p.Run(ctx, "pg_verifybackup", append(args, b.dir)...)
			report, ours := verify.Run(t.Context(), b.dir, c)
			good, oursGood := err == nil, ours == nil && len(report.Problems) == 0
			t.Logf("pg_verifybackup: %.400s %.400s\nours: %v %.600s", fmt.Sprint(err), said, ours, fmt.Sprint(report.Problems))
			if len(report.Problems) > 20 {
				t.Errorf("%d problems", len(report.Problems))
			}
			if good != oursGood && (oursGood || d.stricter == nil || !d.stricter(p.Major)) {
				t.Errorf("pg_verifybackup finds it good: %v; we: %v", good, oursGood)
			}
		})
	}
}

// unshareTablespaces copies what the links of the tablespaces lead to.
func unshareTablespaces(t *testing.T, b backup) {
	links, err := filepath.Glob(b.dir + "/pg_tblspc/*")
	must(t, err)
	for _, link := range links {
		to, err := filepath.EvalSymlinks(link)
		must(t, err)
		must(t, os.Remove(link))
		out, err := exec.Command("cp", "-al", to, link).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// PostgreSQL is the oracle: what pg_verifybackup finds good is good, and what it finds spoilt
// is spoilt, in a data directory.
func TestPostgreSQL_Plain(t *testing.T) { testPlain(t, 15) }

// TestPostgreSQL_Plain_Long is TestPostgreSQL_Plain for the other versions that have the
// program.
func TestPostgreSQL_Plain_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range []int{13, 17, 18, 19} {
		t.Run(fmt.Sprint(major), func(t *testing.T) { testPlain(t, major) })
	}
}

func testPlain(t *testing.T, major int) {
	t.Parallel()
	p := postgres.RequireMajor(t, major)
	clusters := sources(t, p)
	good := backup{dir: take(t, clusters[0]), foreign: take(t, clusters[1])}
	compare(t, p, good, plainDamages, nil, verify.Config{Jobs: 2, Expect: ignore, Done: ignore})
}

// In archives it is the judge from 18 on, of the WAL in them from 19 on.
func TestPostgreSQL_Tar(t *testing.T) { testTar(t, 19, "client-zstd") }

// TestPostgreSQL_Tar_Long is TestPostgreSQL_Tar for both majors; in a whole run for every
// compression of both.
func TestPostgreSQL_Tar_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range []int{18, 19} {
		for compress := range suffixes {
			if once := map[int]string{18: "none", 19: "client-lz4"}; once[major] != compress && !longtest.Whole() {
				continue
			}
			t.Run(fmt.Sprint(major, " ", compress), func(t *testing.T) { testTar(t, major, compress) })
		}
	}
}

// suffixes are those of archives, by what pg_basebackup is told.
var suffixes = map[string]string{"none": "", "client-gzip": ".gz", "client-lz4": ".lz4", "client-zstd": ".zst"}

func testTar(t *testing.T, major int, compress string) {
	t.Parallel()
	p := postgres.RequireMajor(t, major)
	clusters := sources(t, p)
	good := backup{
		dir: take(t, clusters[0], "-F", "t", "-Z", compress), foreign: take(t, clusters[1], "-F", "t", "-Z", compress), suffix: suffixes[compress],
	}
	var args []string
	if major < 19 {
		args = []string{"-n"}
	}
	compare(t, p, good, tarDamages, args, verify.Config{Jobs: 2, SkipWAL: len(args) > 0, Expect: ignore, Done: ignore})
}

func ignore(int64, int64) {}
