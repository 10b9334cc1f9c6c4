package datadir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
)

// layout is a data directory that is reached by a link from another branch of the
// tree, so that ".." in a relative link means one thing to the kernel and another to
// whoever goes by the text.
//
//	real/deep/pg        the data directory
//	link -> real/deep   which the path goes through
func layout(t *testing.T) (fixture, string) {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	f := newFixture(t, validControl())
	must(t, os.MkdirAll(top+"/real/deep", 0o700))
	must(t, os.Rename(f.path, top+"/real/deep/pg"))
	must(t, os.Symlink(top+"/real/deep", top+"/link"))
	f.path = top + "/link/pg"
	return f, top
}

// PostgreSQL opens pg_tblspc/OID from its working directory: what a relative link means
// is the kernel's to say.
func TestTablespaces_4_4_RelativeLinkThroughALink(t *testing.T) {
	f, top := layout(t)
	const version = "/PG_15_202209061/5/"
	for _, place := range []string{top + "/real/ts", top + "/ts"} { // the second is where the text leads
		must(t, os.MkdirAll(place+version, 0o700))
		must(t, os.WriteFile(place+version+"16600", []byte(place), 0o600))
	}
	must(t, os.Symlink("../../../ts", f.at("pg_tblspc/16404")))
	d := f.open()
	got, err := d.Tablespaces(t.Context(), false)
	must(t, err)
	want := []protocol.Tablespace{{OID: 16404, Location: top + "/real/ts", Size: -1}, {Size: -1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tablespaces (-want +got):\n%s", diff)
	}
	for _, name := range []string{"16404", top + "/real/ts"} {
		rows, _ := listing(t, d, name)
		compare(t, name, []string{
			"d pg_tblspc/16404/PG_15_202209061", "d pg_tblspc/16404/PG_15_202209061/5", "f pg_tblspc/16404/PG_15_202209061/5/16600",
		}, rows)
	}
	file, err := d.Open(t.Context(), "pg_tblspc/16404"+version+"16600", protocol.OpenOptions{})
	must(t, err)
	defer file.Close()
	content := make([]byte, 200)
	n, err := file.Read(content)
	must(t, err)
	if string(content[:n]) != top+"/real/ts" {
		t.Errorf("what is sent is the file of %s", content[:n])
	}
}

func TestWALFiles_4_7_RelativeLinkThroughALink(t *testing.T) {
	f, top := layout(t)
	c := validControl()
	f.wal(c, 1, 1, 1, 0, nil)
	must(t, os.Rename(f.at("pg_wal"), top+"/real/deep/wal"))
	must(t, os.Symlink("../wal", f.at("pg_wal")))
	must(t, os.MkdirAll(top+"/wal", 0o700)) // where the text leads
	d := f.open()
	rows := 0
	for row, err := range d.WALFiles(t.Context(), 0, 0) {
		must(t, err)
		file, err := d.Open(t.Context(), row.Path, protocol.OpenOptions{})
		must(t, err)
		must(t, file.Close())
		rows++
	}
	if rows != 1 {
		t.Errorf("%d files of WAL, want 1", rows)
	}
}

// The path that the administrator gives is the kernel's to follow, too.
func TestOpenDir_DotDotBehindALink(t *testing.T) {
	f, top := layout(t)
	must(t, os.MkdirAll(top+"/real/deep/other", 0o700))
	must(t, os.Symlink(top+"/real/deep/other", top+"/elsewhere"))
	t.Chdir(top)
	d, err := OpenDir("elsewhere/../pg", DirOptions{})
	must(t, err)
	defer d.Close()
	t.Chdir("/")
	must(t, d.CheckPath())
	must(t, os.MkdirAll(top+"/real/ts", 0o700))
	must(t, os.Symlink("../../../ts", f.at("pg_tblspc/16404")))
	got, err := d.Tablespaces(t.Context(), false)
	must(t, err)
	if got[0].Location != top+"/real/ts" {
		t.Errorf("location %q", got[0].Location)
	}
}
