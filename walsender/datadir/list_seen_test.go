package datadir

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// What readdir may do while names come and go: tell a name twice, across its batches
// too, and miss one that is replaced.
func TestFiles_4_5_ReaddirTwiceAndMissed(t *testing.T) {
	f := newFixture(t, validControl())
	want := []string{"d base", "d base/5", "d global", "d pg_tblspc", "d pg_wal", "d pg_wal/archive_status", "d pg_logical", "f global/pg_control"}
	for _, name := range []string{
		"PG_VERSION", "postgresql.auto.conf", "standby.signal", "base/5/PG_VERSION", "base/5/pg_filenode.map", "base/5/2619",
		"global/pg_filenode.map", "global/1262", "pg_logical/replorigin_checkpoint",
	} {
		if name != "PG_VERSION" {
			f.write(name, []byte(name))
		}
		want = append(want, "f "+name)
	}
	missed := []string{"PG_VERSION", "postgresql.auto.conf", "standby.signal", "pg_filenode.map", "replorigin_checkpoint", "pg_tblspc", "base"}
	w, err := f.open().newWalker(t.Context(), protocol.Tablespace{}, func(*protocol.Error) {})
	f.must(err)
	w.names = func(d beneath.Dir, n int) ([]string, error) {
		names, err := d.Names(n)
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(missed, name) })
		return append(names, names...), err
	}
	var rows []string
	w.yield = func(f protocol.File, _ error) bool {
		rows = append(rows, string(f.Type)+" "+f.Path)
		return true
	}
	f.must(w.dataDirectory())
	checkParents(t, rows, "")
	compare(t, "rows", want, rows)

	// Once more, with each directory's names over and over, batch by batch.
	rows = nil
	again := map[beneath.Dir][]string{}
	w.names = func(d beneath.Dir, _ int) ([]string, error) {
		if names, second := again[d]; second {
			return names, io.EOF
		}
		names, err := d.Names(-1)
		again[d] = names
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return names, err
	}
	f.must(w.dataDirectory())
	compare(t, "rows of two batches", want, rows)
}

// expectedNames goes with what the protocol calls permanent.
func TestExpectedNames(t *testing.T) {
	for _, test := range []struct {
		in   place
		path string
	}{{inDataDirectory, ""}, {inGlobal, "global"}, {inOwn, "pg_logical"}} {
		for _, name := range expectedNames(test.in, test.path) {
			kind := protocol.KindOfPath(join(test.path, name))
			file := strings.Contains(name, ".") || name == "PG_VERSION" || name == "replorigin_checkpoint"
			if file != (kind == protocol.PathPermanent) {
				t.Errorf("%s is a %v", join(test.path, name), kind)
			}
		}
	}
}
