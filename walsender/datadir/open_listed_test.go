package datadir

import (
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// opensListed opens a file by what the listing has found, and is its content.
func opensListed(t *testing.T, d *Dir, name string) (content string, ok bool) {
	t.Helper()
	c, err := d.Control(t.Context())
	must(t, err)
	f, ok := d.openListed(c, name, protocol.OpenOptions{Notice: func(*protocol.Error) {}})
	if !ok {
		return "", false
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	must(t, err)
	return string(data), true
}

// The files of relations are opened in their directory, which stays open, as long as it is as it
// was listed. All else is for Open to look at.
func TestOpenListed_4_6(t *testing.T) {
	const name = "base/5/16384"
	f, d := listedCluster(t)
	for range 2 {
		if content, ok := opensListed(t, d, name); !ok || content != "main" {
			t.Fatalf("%s: %q, %v", name, content, ok)
		}
	}
	if len(d.listed.kept) != 1 {
		t.Errorf("%d directories are kept open, want 1", len(d.listed.kept))
	}
	for _, other := range []string{"base/5/16390", "base/5/99999", "base/5/PG_VERSION", "base/6/1", "PG_VERSION", "base/5/16384/1", "base/5"} {
		if _, ok := opensListed(t, d, other); ok {
			t.Errorf("%s is opened without a look", other)
		}
	}
	f.write("base/5/16384_init", nil)
	if _, ok := opensListed(t, d, name); ok || len(d.listed.kept) != 0 {
		t.Error("the directory was changed, and nobody looks, or it stays open")
	}
	f.must(os.Remove(f.at("base/5/16384_init")))
	f.relist(d)
	if _, ok := opensListed(t, d, name); !ok {
		t.Error("the directory was listed anew, and is not known")
	}
	d.RecoveryOnRestore = false
	if _, ok := opensListed(t, d, name); ok {
		t.Error("what was listed for a copy that recovers holds for one that does not")
	}
}

// A directory that is held is not taken for another one that has its place.
func TestOpenListed_4_6_DirectoryMovedAway(t *testing.T) {
	const name = "base/5/16384"
	f, d := listedCluster(t)
	if _, ok := opensListed(t, d, name); !ok {
		t.Fatal("not opened as listed")
	}
	f.must(os.Rename(f.at("base/5"), f.at("base/old")))
	f.write(name, []byte("another"))
	file, err := d.Open(t.Context(), name, protocol.OpenOptions{})
	f.must(err)
	defer file.Close()
	if content, err := io.ReadAll(file); err != nil || string(content) != "another" {
		t.Errorf("read %q, %v from the directory that was moved away", content, err)
	}
}

// However many directories there are, few stay open, and none when the cluster is closed.
func TestOpenListed_Bound(t *testing.T) {
	f := newFixture(t, validControl())
	for n := range maxKept + 10 {
		f.write("base/"+strconv.Itoa(n+1)+"/16384", []byte("main"))
	}
	d := f.open()
	d.RecoveryOnRestore = true
	f.relist(d)
	for n := range maxKept + 10 {
		if _, ok := opensListed(t, d, "base/"+strconv.Itoa(n+1)+"/16384"); !ok {
			t.Fatal("not opened as listed")
		}
	}
	if len(d.listed.kept) != maxKept {
		t.Errorf("%d directories are kept open, want %d", len(d.listed.kept), maxKept)
	}
	d.listed.close()
	if len(d.listed.kept) != 0 {
		t.Errorf("%d directories are still open", len(d.listed.kept))
	}
}
