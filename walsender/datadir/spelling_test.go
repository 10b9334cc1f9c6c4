package datadir

import (
	"os"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// A file system that takes names in other letters shows by PG_VERSION that it does.
func TestOpenDir_FoldsCase(t *testing.T) {
	f := newFixture(t, validControl())
	if f.open().foldsCase {
		t.Skip("the file system of the tests folds case")
	}
	must(t, os.Link(f.at("PG_VERSION"), f.at("pg_version"))) // as if it did
	if !f.open().foldsCase {
		t.Error("it is not seen")
	}
}

// A name in other letters is no way around the rules for a file: nothing is listed under
// it (§4.6).
func TestOpen_4_6_Misspelled(t *testing.T) {
	f := newFixture(t, validControl())
	for _, name := range []string{"base/5/16384", "base/5/16384_fsm", "base/5/PG_VERSION", "global/1262", "odd/Name"} {
		f.write(name, []byte("x"))
	}
	d := f.open()
	d.foldsCase = true
	for _, name := range []string{"PG_VERSION", "base/5/16384", "base/5/16384_fsm", "base/5/PG_VERSION", "global/1262", "global/pg_control", "odd/Name"} {
		file, err := d.Open(t.Context(), name, protocol.OpenOptions{})
		must(t, err)
		must(t, file.Close())
	}
	for name, misspelled := range map[string]bool{
		"Global/pg_control": true, "PG_WAL/000000010000000000000001": true, "base/5/pg_version": true, "base/5/16384_FSM": true, "ODD/Name": true, "odd/name": true,
		"global/1262": false, "odd/Name": false, "base/6/x": false, "base/5/16384/x": false,
	} {
		if d.root.Misspells(name) != misspelled {
			t.Errorf("%s is misspelled: %v", name, !misspelled)
		}
	}
}
