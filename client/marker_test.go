package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
)

// What the first version wrote into markers: --force knows them by it, as it does those of this
// version.
const (
	markerText = `pgparallel has begun to write a base backup here, and has not finished it.
Either it is still at work, or it was killed. What is here is not a backup, and no
server can be started from it. "pgparallel backup --force" removes it and takes the
backup anew.
`
	otherMarkerText = `pgparallel has begun to write a part of a base backup here. As long as the
data directory of the backup has the file pgparallel.incomplete or global/pg_control.incomplete,
the backup is not finished, and "pgparallel backup --force" removes it. Otherwise
a server may use what is here, and only this file may be removed.
data directory: %q, inode %d
`
)

// unfinished makes a directory as a backup leaves it that was killed.
func unfinished(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "base", "1"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "base", "1", "16384"), []byte("half"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, output.MarkerFile), []byte(markerText), 0o600))
}

// unfinishedPart makes the directory of a tablespace as a backup leaves it that was
// killed, whose data directory is dir.
func unfinishedPart(t *testing.T, space, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(space, "PG_15_202209061", "1"), 0o700))
	must(t, os.WriteFile(filepath.Join(space, "PG_15_202209061", "1", "16384"), []byte("half"), 0o600))
	must(t, os.WriteFile(filepath.Join(space, output.MarkerFile), fmt.Appendf(nil, otherMarkerText, dir, info.Sys().(*syscall.Stat_t).Ino), 0o600))
}

// What a killed backup has left is named as such and kept, unless it is to be removed;
// the directories of tablespaces too.
func TestMarker_5_6_Force(t *testing.T) {
	f := newFake(t)
	parent := t.TempDir()
	dir, space, precious := filepath.Join(parent, "copy"), filepath.Join(parent, "space"), filepath.Join(parent, "precious")
	f.tablespaces = func(int) []protocol.Tablespace {
		return []protocol.Tablespace{{OID: 16500, Location: space}}
	}
	f.listed = func(rows []protocol.File) []protocol.File {
		return append(rows, protocol.File{Path: "pg_tblspc/16500", Type: protocol.TypeLink, ModTime: fakeTime})
	}
	must(t, os.Mkdir(precious, 0o700))
	must(t, os.WriteFile(filepath.Join(precious, "file"), nil, 0o600))
	unfinished(t, dir)
	must(t, os.Symlink(precious, filepath.Join(dir, "base", "link")))
	before := outputtest.Tree(t, parent)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
	if !errors.Is(err, ErrUnfinished) || err.Error() != `directory "`+dir+`" holds an unfinished backup` {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, parent)
	if len(f.commands(-1)) > 0 {
		t.Error("the server was asked")
	}

	unfinishedPart(t, space, dir)
	before = outputtest.Tree(t, parent)
	plan, err := DryRun(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Force: true})
	must(t, err)
	if strings.Join(plan.Removes, " ") != dir+" "+space || len(plan.Creates) != 0 {
		t.Errorf("plan is %+v", plan)
	}
	outputtest.SameTree(t, before, parent)

	_, err = Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Force: true})
	must(t, err)
	after := outputtest.Tree(t, parent)
	for path := range after {
		if strings.Contains(path, output.MarkerFile) || path == "copy/base/link" {
			t.Errorf("there is %s after the backup", path)
		}
	}
	if _, kept := after["precious/file"]; !kept {
		t.Error("a link was followed")
	}
}

// What is not marked is never removed.
func TestMarker_ForceLeavesOthersAlone(t *testing.T) {
	f := newFake(t)
	parent := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(parent, output.MarkerFile), 0o700)) // a directory is no marker
	before := outputtest.Tree(t, parent)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: parent, Force: true})
	if err == nil || !strings.Contains(err.Error(), "exists but is not empty") {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, parent)
}

// A backup that runs is not an unfinished one, whatever force is used.
func TestMarker_Running(t *testing.T) {
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, step: func(name string) {
		if name != "copy files" {
			return
		}
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Force: true})
		if err == nil || !strings.Contains(err.Error(), "is being written by another backup") {
			t.Errorf("error is %v", err)
		}
	}})
	must(t, err)
}

// The marker is there from the first file on until all is there.
func TestMarker_5_6_EveryStep(t *testing.T) {
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, step: func(name string) {
		entries, _ := os.ReadDir(dir)
		_, err := os.Stat(filepath.Join(dir, output.MarkerFile))
		if marked := err == nil; marked != (len(entries) > 0 && name != "release control file" && !isReleased(name)) {
			t.Errorf("step %s: %d entries, marked: %v", name, len(entries), marked)
		}
	}})
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, output.MarkerFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the marker is still there: %v", err)
	}
}

// A server could run on what is there, or does: nothing of it is removed.
func TestMarker_5_6_ForceRefusesWhatCanBeStarted(t *testing.T) {
	f := newFake(t)
	for _, name := range []string{"global/pg_control", "postmaster.pid", "base.tar", "base.tar.zst"} {
		for _, evidence := range []string{output.MarkerFile, output.ControlFileHeld} {
			dir := filepath.Join(t.TempDir(), "copy")
			must(t, os.MkdirAll(filepath.Join(dir, "global"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			must(t, os.WriteFile(filepath.Join(dir, evidence), []byte(markerText), 0o600))
			before := outputtest.Tree(t, dir)
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Force: true})
			if err == nil || errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), name) {
				t.Errorf("error is %v", err)
			}
			outputtest.SameTree(t, before, dir)
		}
	}
}

// A marker that was not written to its end says only that the directory was empty.
func TestMarker_5_6_Torn(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, output.MarkerFile), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600))
	before := outputtest.Tree(t, dir)
	o := Options{ConnConfig: f.config(), Dir: dir, Force: true}
	if _, err := Backup(t.Context(), o); err == nil || !strings.Contains(err.Error(), "exists but is not empty") {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, dir)
	must(t, os.Remove(filepath.Join(dir, "precious")))
	_, err := Backup(t.Context(), o)
	must(t, err)
}

// Of backups that remove the same leftover at once, one goes on, and what it writes
// stays.
func TestMarker_5_6_ForceAtOnce(t *testing.T) {
	f := newFake(t)
	for _, evidence := range []string{output.MarkerFile, output.ControlFileHeld} {
		for range 10 {
			dir := filepath.Join(t.TempDir(), "copy")
			unfinished(t, dir)
			must(t, os.Mkdir(filepath.Join(dir, "global"), 0o700))
			must(t, os.Rename(filepath.Join(dir, output.MarkerFile), filepath.Join(dir, evidence)))
			for i := range 100 {
				must(t, os.WriteFile(filepath.Join(dir, "base", fmt.Sprint("leftover", i)), nil, 0o600))
			}
			errs := make(chan error)
			for range 3 {
				go func() {
					_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Force: true})
					errs <- err
				}()
			}
			succeeded := 0
			for range 3 {
				err := <-errs
				switch {
				case err == nil:
					succeeded++
				case !strings.Contains(err.Error(), "is being written by another backup") && !strings.Contains(err.Error(), "not empty"):
					t.Errorf("error is %v", err)
				}
			}
			if succeeded > 1 {
				t.Errorf("%d of them succeeded", succeeded)
			}
			if succeeded == 0 {
				continue // each was in the way of another, and nothing is lost
			}
			report, err := Verify(t.Context(), dir, VerifyOptions{})
			must(t, err)
			if len(report.Problems) > 0 {
				t.Errorf("the backup that succeeded: %v", report.Problems)
			}
		}
	}
}
