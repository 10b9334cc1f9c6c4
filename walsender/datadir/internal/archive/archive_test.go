package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry is a member of an archive of a test: a directory where the name ends in a slash, a
// link where link is set.
type entry struct{ name, content, link string }

// pack is an archive of the members, in PostgreSQL's form unless names need another.
func pack(t testing.TB, members ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: tar.TypeReg, Size: int64(len(m.content)), Mode: 0o640, ModTime: time.Unix(1e9, 0)}
		switch {
		case m.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, m.link
		case strings.HasSuffix(m.name, "/"):
			h.Typeflag, h.Mode = tar.TypeDir, 0o750
		}
		must(t, w.WriteHeader(h))
		_, err := io.WriteString(w, m.content)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func openAll(t testing.TB, archives map[string][]byte) (*Root, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range archives {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return openDir(t, dir)
}

func openDir(t testing.TB, dir string) (*Root, error) {
	t.Helper()
	in, err := beneath.OpenRoot(dir)
	must(t, err)
	root, err := Open(in)
	if err == nil {
		t.Cleanup(func() { must(t, root.Close()) })
	}
	return root, err
}

// walk tells what lies beneath a directory, tablespaces included.
func walk(t testing.TB, d beneath.Dir, path string) (found []string) {
	t.Helper()
	names, err := d.AllNames()
	must(t, err)
	for _, name := range names {
		st, err := d.Lstat(name)
		must(t, err)
		full := path + name
		switch beneath.FileType(st) {
		case unix.S_IFREG:
			content, _, err := d.Read(name, 1<<20)
			must(t, err)
			found = append(found, full+"="+string(content))
		case unix.S_IFLNK:
			link, err := d.Readlink(name)
			must(t, err)
			found = append(found, full+" -> "+link)
			if sub, err := d.Follow(name); err == nil {
				found = append(found, walk(t, sub, full+"/")...)
			}
		default:
			found = append(found, full+"/")
			sub, err := d.Sub(name)
			must(t, err)
			found = append(found, walk(t, sub, full+"/")...)
		}
	}
	return found
}

// base has what every archive of a data directory has here.
func base(more ...entry) []entry {
	return append([]entry{{name: "PG_VERSION", content: "15\n"}, {name: "base/"}, {name: "pg_tblspc/"}, {name: "pg_wal/"}}, more...)
}

// What the archives hold together is a data directory.
func TestOpen(t *testing.T) {
	long := "base/5/" + strings.Repeat("x", 200)
	root, err := openAll(t, map[string][]byte{
		"base.tar": pack(t, base(
			entry{name: "./base/5/16384", content: "relation"},
			entry{name: "base/5/"}, // behind what it holds
			entry{name: long, content: "long"},
			entry{name: "pg_tblspc/16390", link: "/source/one"},
			entry{name: "pg_tblspc/16391", link: "/source/two"},
			entry{name: "pg_tblspc/16392/"}, // in place
			entry{name: "tablespace_map", content: "16390 /source/one\n16391 /source/a\\\nb\\\\c\n"},
		)...),
		"16390.tar":       pack(t, entry{name: "PG_15_202209061/"}, entry{name: "PG_15_202209061/5/16400", content: "one"}),
		"16391.tar":       pack(t),
		"16392.tar":       pack(t, entry{name: "PG_15_202209061/"}),
		"16393.tar":       pack(t), // in place, as PostgreSQL 16 has it
		"pg_wal.tar":      pack(t, entry{name: "000000010000000000000001", content: "wal"}, entry{name: "archive_status/"}),
		"backup_manifest": []byte("{}"),
		"notes.txt":       []byte("not of the backup"),
	})
	must(t, err)
	want := []string{
		"PG_VERSION=15\n", "backup_manifest={}", "base/", "base/5/", "base/5/16384=relation", long + "=long",
		"pg_tblspc/", "pg_tblspc/16390 -> /source/one", "pg_tblspc/16390/PG_15_202209061/", "pg_tblspc/16390/PG_15_202209061/5/",
		"pg_tblspc/16390/PG_15_202209061/5/16400=one", "pg_tblspc/16391 -> /source/a\nb\\c", "pg_tblspc/16392/", "pg_tblspc/16392/PG_15_202209061/", "pg_tblspc/16393/",
		"pg_wal/", "pg_wal/000000010000000000000001=wal", "pg_wal/archive_status/",
		"tablespace_map=16390 /source/one\n16391 /source/a\\\nb\\\\c\n",
	}
	if got := walk(t, root, ""); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	st, err := root.Lstat("base/5/16384")
	must(t, err)
	if st.Mode&0o777 != 0o640 || st.Size != 8 || st.Mtim.Sec != 1e9 {
		t.Errorf("status %+v", st)
	}
	if st, err = root.Lstat("."); err != nil || st.Mode&0o777 != 0o750 {
		t.Errorf("the data directory has mode %o (%v)", st.Mode, err)
	}
	// A link's status is one thing, and that of what it leads to another.
	link, err := root.Lstat("pg_tblspc/16390")
	must(t, err)
	target, err := root.Stat("pg_tblspc/16390")
	must(t, err)
	if beneath.FileType(link) != unix.S_IFLNK || beneath.FileType(target) != unix.S_IFDIR || beneath.IDOf(link) == beneath.IDOf(target) {
		t.Errorf("link %+v, target %+v", link, target)
	}
}

// The directory behaves as one on disk does.
func TestDir_Errors(t *testing.T) {
	root, err := openAll(t, map[string][]byte{
		"base.tar":  pack(t, base(entry{name: "base/1", content: "x"}, entry{name: "pg_tblspc/16390", link: "/source"}, entry{name: "way", link: "base"})...),
		"16390.tar": pack(t),
	})
	must(t, err)
	for name, want := range map[string]error{
		"base/1": nil, "base": unix.EISDIR, ".": unix.EISDIR, "no": unix.ENOENT, "base/no": unix.ENOENT, "base/1/x": unix.ENOTDIR,
		"way": beneath.ErrSpecial, "way/1": beneath.ErrSpecial, "pg_tblspc/16390": beneath.ErrSpecial,
	} {
		f, _, err := root.Open(name)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			must(t, f.Close())
		}
	}
	if _, err := root.Follow("way"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a link that is no tablespace's is followed: %v", err)
	}
	sub, err := root.Sub(".")
	must(t, err)
	must(t, sub.Close())
	for want := range slices.Values([]string{"PG_VERSION", "base", "pg_tblspc", "pg_wal", "way"}) {
		if names, err := sub.Names(1); err != nil || len(names) != 1 || names[0] != want {
			t.Errorf("names %q (%v), want %q", names, err, want)
		}
	}
	if _, err := sub.Names(1); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last name: %v", err)
	}
	f, _, err := root.Open("base/1") // a directory that was closed closed no archive
	must(t, err)
	defer f.Close()
	buffer := make([]byte, 600)
	if n, err := f.ReadAt(buffer, 0); n != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes (%v) of a file of 1: what is behind it in the archive is not its own", n, err)
	}
}

// Archives of which nobody can say what they hold are refused.
func TestOpen_Refused(t *testing.T) {
	whole := pack(t, base(entry{name: "base/1", content: strings.Repeat("x", 1000)})...)
	corrupt := slices.Clone(whole)
	corrupt[148] ^= 1 // the checksum of the first header
	sparse := bytes.Buffer{}
	w := tar.NewWriter(&sparse)
	must(t, w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "y"}))
	must(t, w.Close())
	mapped := func(text string) []byte { return pack(t, base(entry{name: "tablespace_map", content: text})...) }
	for _, test := range []struct {
		name     string
		archives map[string][]byte
		want     string
	}{
		{"nothing", map[string][]byte{"16390.tar": whole}, `archive "base.tar" is missing`},
		{"compressed", map[string][]byte{"base.tar.zst": whole}, `archive "base.tar.zst" is compressed with zstd`},
		{"one is compressed", map[string][]byte{"base.tar": whole, "pg_wal.tar.gz": whole}, `archive "pg_wal.tar.gz" is compressed with gzip`},
		{"no archive", map[string][]byte{"base.tar": bytes.Repeat([]byte("text"), 1000)}, `could not read archive "base.tar": it does not appear to be a valid tar archive`},
		{"empty", map[string][]byte{"base.tar": {}}, "ends too early"},
		{"damaged", map[string][]byte{"base.tar": corrupt}, "valid tar archive"},
		{"without its trailer", map[string][]byte{"base.tar": whole[:len(whole)-1024]}, "ends too early"},
		{"with half a trailer", map[string][]byte{"base.tar": whole[:len(whole)-512]}, "ends too early"},
		{"cut in a file", map[string][]byte{"base.tar": whole[:len(whole)-1024-600]}, "ends too early"},
		{"cut in a header", map[string][]byte{"base.tar": whole[:len(whole)-1024-1024-100]}, "ends too early"},
		{"twice", map[string][]byte{"base.tar": pack(t, base(entry{name: "base/1"}, entry{name: "./base/1"})...)}, `"base/1" is in archive "base.tar", and a second time in archive "base.tar"`},
		{"twice in two", map[string][]byte{"base.tar": pack(t, base(entry{name: "pg_wal/x"})...), "pg_wal.tar": pack(t, entry{name: "x"})}, "a second time"},
		{"below a file", map[string][]byte{"base.tar": pack(t, base(entry{name: "base/1", content: "x"}, entry{name: "base/1/2"})...)}, "a second time"},
		{"out of it", map[string][]byte{"base.tar": pack(t, entry{name: "base/../../x"})}, `member "base/../../x" has no name beneath a directory`},
		{"roundabout", map[string][]byte{"base.tar": pack(t, entry{name: "base/../x"})}, "no name beneath"},
		{"absolute", map[string][]byte{"base.tar": pack(t, entry{name: "/etc/passwd"})}, "no name beneath"},
		{"a hard link", map[string][]byte{"base.tar": sparse.Bytes()}, `member "x" is no file, directory or symbolic link`},
		{"a tablespace without its archive", map[string][]byte{"base.tar": mapped("16390 /one\n")}, `archive "16390.tar" is missing: tablespace 16390 was in "/one"`},
		{"a link that is not in the map", map[string][]byte{"base.tar": pack(t, base(entry{name: "pg_tblspc/16390", link: "/x"}, entry{name: "tablespace_map"})...), "16390.tar": pack(t)}, "tablespace 16390 is not in"},
		{"a map of no lines", map[string][]byte{"base.tar": mapped("16390 /one")}, `invalid data in file "tablespace_map"`},
		{"a map with two of one", map[string][]byte{"base.tar": mapped("16390 /one\n16390 /two\n")}, "invalid data"},
		{"a map with a relative path", map[string][]byte{"base.tar": mapped("16390 one\n")}, "invalid data"},
		{"a map of names", map[string][]byte{"base.tar": mapped("../x /one\n")}, "invalid data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := openAll(t, test.archives); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "elsewhere"), whole, 0o600))
	must(t, os.Symlink("elsewhere", filepath.Join(dir, "base.tar")))
	if _, err := openDir(t, dir); !errors.Is(err, beneath.ErrSpecial) {
		t.Errorf("an archive that is a link: %v", err)
	}
}

// An archive that was written to since, or in whose place another is, is told.
func TestRoot_Unchanged(t *testing.T) {
	for name, change := range map[string]func(name string) error{
		"written": func(name string) error { return os.Truncate(name, 100) },
		"replaced": func(name string) error {
			return errors.Join(os.Rename(name, name+".old"), os.WriteFile(name, nil, 0o600))
		},
		"gone": os.Remove,
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "base.tar")
		must(t, os.WriteFile(path, pack(t, base()...), 0o600))
		root, err := openDir(t, dir)
		must(t, err)
		if same, err := root.Unchanged(); err != nil || !same {
			t.Errorf("before: %v, %v", same, err)
		}
		must(t, change(path))
		if same, _ := root.Unchanged(); same {
			t.Errorf("%s: nothing shows", name)
		}
	}
}

// GNU tar writes the same names in each of its formats, and sparse files in a way that is
// refused.
func TestOpen_GNUTar(t *testing.T) {
	program, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("no tar")
	}
	source := t.TempDir()
	long := strings.Repeat("d", 90) + "/" + strings.Repeat("f", 90)
	for name, content := range map[string]string{"PG_VERSION": "15\n", "base/5/16384": "relation", long: "long"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(source, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(source, name), []byte(content), 0o600))
	}
	for _, format := range []string{"gnu", "oldgnu", "pax", "ustar"} {
		dir := t.TempDir()
		if out, err := exec.Command(program, "--format="+format, "-cf", filepath.Join(dir, "base.tar"), "-C", source, ".").CombinedOutput(); err != nil {
			t.Skipf("%v: %s", err, out)
		}
		root, err := openDir(t, dir)
		must(t, err)
		if got := walk(t, root, ""); !slices.Contains(got, long+"=long") || !slices.Contains(got, "base/5/16384=relation") {
			t.Errorf("%s: %q", format, got)
		}
	}
	hole, err := os.Create(filepath.Join(source, "hole"))
	must(t, err)
	must(t, hole.Truncate(10<<20))
	_, err = hole.WriteAt([]byte("x"), 10<<20)
	must(t, errors.Join(err, hole.Close()))
	for _, format := range []string{"gnu", "pax"} {
		dir := t.TempDir()
		must(t, exec.Command(program, "--format="+format, "-Scf", filepath.Join(dir, "base.tar"), "-C", source, ".").Run())
		if _, err := openDir(t, dir); err == nil || !strings.Contains(err.Error(), "hole") {
			t.Errorf("%s: a sparse file: %v", format, err)
		}
	}
}

// Whatever an archive holds, reading it ends, and no file has bytes beyond the archive.
func FuzzOpen(f *testing.F) {
	f.Add(pack(f, base(entry{name: "base/1", content: "x"}, entry{name: "pg_tblspc/1", link: "/x"}, entry{name: "tablespace_map", content: "1 /x\n"})...))
	f.Add(pack(f, entry{name: strings.Repeat("long/", 60), content: ""}))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, archive []byte) {
		must(t, os.WriteFile(filepath.Join(dir, "base.tar"), archive, 0o600))
		if root, err := openDir(t, dir); err == nil {
			walk(t, root, "")
		}
	})
}

// The map is read to its end, or refused.
func FuzzTablespaceMap(f *testing.F) {
	f.Add("16390 /one\n16391 /two\\\nlines\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		locations, err := parseTablespaceMap(text)
		for oid, location := range locations {
			if err == nil && (oid == "" || !strings.HasPrefix(location, "/")) {
				t.Errorf("%q: %q", oid, location)
			}
		}
	})
}
