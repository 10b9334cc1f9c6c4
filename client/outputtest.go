package client

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allFiles is all that lies in a directory, by path: the mode, and what it holds.
func allFiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found[name] = info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			found[name] += " " + to
			return err
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			found[name] += fmt.Sprintf(" %q", content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sameTree reports what has changed below dir.
func sameTree(t testing.TB, before map[string]string, dir string) {
	t.Helper()
	if diff := cmp.Diff(before, allFiles(t, dir)); diff != "" {
		t.Errorf("the target is not as before (-before +after):\n%s", diff)
	}
}

// noWarnings is the log of an output that has nothing to warn of.
type noWarnings struct{ T testing.TB }

// Verbose is of no interest.
func (noWarnings) Verbose(string, ...any) {}

// Info is of no interest.
func (noWarnings) Info(string, ...any) {}

// Warning fails the test.
func (w noWarnings) Warning(format string, args ...any) {
	w.T.Helper()
	w.T.Errorf(format, args...)
}
