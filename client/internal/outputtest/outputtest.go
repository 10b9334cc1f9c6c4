// Package outputtest has what tests of outputs share: what lies in a directory, what an
// archive holds, and a log.
package outputtest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// Tree is all that lies in a directory, by path: the mode, and what it holds.
func Tree(t testing.TB, dir string) map[string]string {
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
	Must(t, err)
	return found
}

// SameTree reports what has changed below dir.
func SameTree(t testing.TB, before map[string]string, dir string) {
	t.Helper()
	if diff := cmp.Diff(before, Tree(t, dir)); diff != "" {
		t.Errorf("the target is not as before (-before +after):\n%s", diff)
	}
}

// Must ends the test with an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Read reads a file.
func Read(t testing.TB, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	Must(t, err)
	return string(content)
}

// Linked makes real/data in a directory of the test, with a link to it: link -> real/data.
func Linked(t testing.TB) (base string) {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	Must(t, err)
	Must(t, os.MkdirAll(filepath.Join(base, "real/data"), 0o700))
	Must(t, os.Symlink("real/data", filepath.Join(base, "link")))
	return base
}

// Log is the log of an output that has nothing to warn of.
func Log(t testing.TB) output.Log { return quiet{t} }

type quiet struct{ t testing.TB }

func (quiet) Verbose(string, ...any) {}

func (quiet) Info(string, ...any) {}

func (q quiet) Warning(format string, args ...any) {
	q.t.Helper()
	q.t.Errorf(format, args...)
}

// Members is what an archive holds, by name.
func Members(t testing.TB, archive io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		found[h.Name] = string(content)
	}
}

// Unzstd reads what was compressed with Zstandard.
func Unzstd(t testing.TB, content []byte) io.Reader {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(content), zstd.WithDecoderConcurrency(1))
	Must(t, err)
	t.Cleanup(r.Close)
	return r
}

// Archive is what an archive in a directory holds: name.tar, or name.tar.zst.
func Archive(t testing.TB, dir, name string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name+".tar"))
	if err == nil {
		return Members(t, bytes.NewReader(content))
	}
	if content, err = os.ReadFile(filepath.Join(dir, name+".tar.zst")); err != nil {
		t.Fatal(err)
	}
	return Members(t, Unzstd(t, content))
}
