package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// releaseSteps are the steps of a release, and the one before it.
var releaseSteps = []string{"sync", "publish archives", "remove marker", "release control file", "remove other markers", "name manifest"}

// Killed behind any step of the release, a backup is one that force removes, with all
// its directories, or one that nothing removes.
func TestRelease_5_6_Killed(t *testing.T) {
	for _, step := range releaseSteps {
		f := newFake(t)
		base := t.TempDir()
		f.withTablespace("16400", filepath.Join(base, "space"))
		o := Options{Dir: filepath.Join(base, "copy"), WAL: WALOptions{Dir: filepath.Join(base, "wal")}}
		killIn(t, step, f.connString(), o)
		o.ConnConfig = f.config()
		checkForce(t, step, base, o)
	}
}

// Of the others, the markers of some may be gone and those of others not. Nothing
// removes what is in one of them, not for the sake of another data directory either.
func TestRelease_5_6_OtherMarkersAreVoid(t *testing.T) {
	f := newFake(t)
	base := t.TempDir()
	space := filepath.Join(base, "space")
	f.withTablespace("16400", space)
	killIn(t, "remove other markers", f.connString(), Options{Dir: filepath.Join(base, "copy"), WAL: WALOptions{Dir: filepath.Join(base, "wal")}})
	for _, moved := range []bool{false, true} {
		if moved {
			must(t, os.Rename(filepath.Join(base, "copy"), filepath.Join(base, "moved")))
		}
		before := outputtest.Tree(t, base)
		for _, wal := range []string{"", filepath.Join(base, "wal")} {
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(base, "another"), WAL: WALOptions{Dir: wal}, Force: true})
			if err == nil || !strings.Contains(err.Error(), "holds a part of a backup of which nothing says that it is unfinished") {
				t.Errorf("error is %v", err)
			}
			outputtest.SameTree(t, before, base)
		}
	}
}

// A leftover of another data directory is removed, too, while that is unfinished.
func TestRelease_5_6_LeftoverOfAnother(t *testing.T) {
	f := newFake(t)
	base := t.TempDir()
	f.withTablespace("16400", filepath.Join(base, "space"))
	killIn(t, "release control file", f.connString(), Options{Dir: filepath.Join(base, "copy")})
	o := Options{ConnConfig: f.config(), Dir: filepath.Join(base, "another"), Force: true}
	_, err := Backup(t.Context(), o)
	must(t, err)
	report, err := Verify(t.Context(), o.Dir, VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
}

// Whatever fails in a release is undone, with what it has done.
func TestRelease_5_3_Fails(t *testing.T) {
	for _, step := range releaseSteps[1:] {
		f := newFake(t)
		parent := t.TempDir()
		before := outputtest.Tree(t, parent)
		dir := filepath.Join(parent, "copy")
		f.withTablespace("16400", filepath.Join(parent, "space"))
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, WAL: WALOptions{Dir: filepath.Join(parent, "wal")}, step: func(name string) {
			if name == step { // and in whatever comes behind it
				os.Remove(filepath.Join(dir, output.ManifestFileTmp))
			}
		}})
		if err == nil || !strings.Contains(err.Error(), "could not rename file") {
			t.Errorf("step %s: error is %v", step, err)
		}
		outputtest.SameTree(t, before, parent)
	}
}
