package datadir

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// listedCluster is listed as one that nobody has changed for a while.
func listedCluster(t *testing.T) (fixture, *Dir) {
	t.Helper()
	c := validControl()
	f := newFixture(t, c)
	f.write("base/5/16384", []byte("main"))
	f.write("base/5/16390", nil)
	f.write("base/5/16390_init", nil)
	d := f.open()
	d.RecoveryOnRestore = true
	f.relist(d)
	return f, d
}

func (f fixture) relist(d *Dir) {
	f.t.Helper()
	w, err := d.newWalker(f.t.Context(), protocol.Tablespace{}, func(*protocol.Error) {})
	f.must(err)
	w.cacheAge = -1
	w.yield = func(protocol.File, error) bool { return true }
	f.must(w.dataDirectory())
}

// asListed reports whether a relation's file is opened by what the listing has found.
func asListed(t *testing.T, d *Dir, name string) bool {
	t.Helper()
	c, err := d.Control(t.Context())
	must(t, err)
	at, err := d.resolve(newRules(d.major, c), name)
	must(t, err)
	defer at.release()
	return d.isAsListed(at, name, d.recovers(c))
}

// A directory that is as it was listed is not looked at for each of its files. Whatever is
// changed in it, or in what a copy does, ends that.
func TestOpen_4_6_DirectoryAsListed(t *testing.T) {
	const name = "base/5/16384"
	f, d := listedCluster(t)
	if !asListed(t, d, name) || asListed(t, d, "base/5/16390") || asListed(t, d, "base/5/PG_VERSION") {
		t.Error("what was listed is not known, or what is unlogged is, or what is no relation's")
	}
	d.RecoveryOnRestore = false // the fixture's cluster was shut down
	if asListed(t, d, name) {
		t.Error("what was listed for a copy that recovers holds for one that does not")
	}
	d.RecoveryOnRestore = true
	file, err := d.Open(t.Context(), name, protocol.OpenOptions{})
	f.must(err)
	f.must(file.Close())
	f.write("base/5/16384_init", nil)
	if asListed(t, d, name) {
		t.Error("the directory was changed, and nobody looks")
	}
	if _, err := d.Open(t.Context(), name, protocol.OpenOptions{}); code(err) != protocol.CodeUndefinedFile {
		t.Errorf("a fork of a relation that has become unlogged: %v, want 58P01", err)
	}
}

// Beside a FIFO, and in a directory that is changed while it is listed, each file is looked at.
func TestOpen_4_6_DirectoryNotAsListed(t *testing.T) {
	const name = "base/5/16384"
	f, d := listedCluster(t)
	f.must(unix.Mkfifo(f.at("base/5/7"), 0o600))
	f.relist(d)
	if asListed(t, d, name) {
		t.Error("a directory with a FIFO is taken for one of files alone")
	}
	f.must(os.Remove(f.at("base/5/7")))

	w, err := d.newWalker(t.Context(), protocol.Tablespace{}, func(*protocol.Error) {})
	f.must(err)
	w.cacheAge = -1
	w.names = func(in beneath.Dir, n int) ([]string, error) {
		names, err := in.Names(n)
		if errors.Is(err, io.EOF) {
			f.must(os.MkdirAll(f.at("base/5/new"), 0o700))
			f.must(os.Remove(f.at("base/5/new")))
		}
		return names, err
	}
	w.yield = func(protocol.File, error) bool { return true }
	f.must(w.dataDirectory())
	if asListed(t, d, name) {
		t.Error("a directory that was changed while it was listed is taken for known")
	}

	w, err = d.newWalker(t.Context(), protocol.Tablespace{}, func(*protocol.Error) {})
	f.must(err)
	w.yield = func(protocol.File, error) bool { return true }
	f.must(w.dataDirectory())
	if asListed(t, d, name) {
		t.Error("a directory that was changed just before is taken for known: the next change might not show")
	}
}
