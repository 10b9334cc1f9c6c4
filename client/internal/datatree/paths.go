package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// Absolute makes a path absolute as the kernel takes it: ".." leads back from where a
// link has led to. Other links stay in it.
func Absolute(path string) (string, error) {
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return "", fmt.Errorf("could not determine the current directory: %w", err)
		}
		path = here + "/" + path
	}
	end := strings.LastIndex(path+"/", "/../")
	if end < 0 {
		return filepath.Clean(path), nil
	}
	end += len("/..")
	real, err := filepath.EvalSymlinks(path[:end])
	if err != nil {
		return "", fmt.Errorf("could not access directory %q: %w", path[:end], output.Cause(err))
	}
	return filepath.Join(real, path[end:]), nil
}

// existing is the last directory on a path that exists, without links, and what of the
// path does not.
func existing(path string) (dir, rest string, err error) {
	for dir = path; ; dir = filepath.Dir(dir) {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			return real, strings.Trim(strings.TrimPrefix(path, dir), "/"), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return "", "", fmt.Errorf("could not access directory %q: %w", dir, output.Cause(err))
		}
	}
}

// liesIn reports whether a directory is another one, or would be below it, whatever
// links lead to the two.
func liesIn(path, parent string) (bool, error) {
	outer, outerRest, err := existing(parent)
	if err != nil {
		return false, err
	}
	info, err := os.Stat(outer)
	if err != nil {
		return false, err
	}
	inner, rest, err := existing(path)
	if err != nil {
		return false, err
	}
	for dir := inner; ; dir = filepath.Dir(dir) {
		if here, err := os.Stat(dir); err == nil && os.SameFile(here, info) {
			below := strings.Trim(filepath.Join(strings.TrimPrefix(inner, dir), rest), "/")
			return outerRest == "" || Within(below, outerRest), nil
		}
		if dir == "/" {
			return false, nil
		}
	}
}

// Within reports whether a path is the other, or below it.
func Within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, strings.TrimSuffix(parent, "/")+"/")
}

// Overlap reports whether one of two directories lies in the other.
func Overlap(a, b string) (bool, error) {
	in, err := liesIn(a, b)
	if in || err != nil {
		return in, err
	}
	return liesIn(b, a)
}

// checkOutside makes sure that a directory does not lie in a cluster of this machine:
// a backup there would be copied by the next one, and be in the server's way.
func checkOutside(path string) error {
	dir, rest, err := existing(path)
	if err != nil {
		return err
	}
	if rest == "" {
		dir = filepath.Dir(dir) // of the directory itself it matters only whether it is empty
	}
	for ; ; dir = filepath.Dir(dir) {
		what := ""
		switch {
		case exists(dir, "PG_VERSION") && exists(dir, output.ControlFile):
			what = "data directory"
		case output.VersionDirectory.MatchString(filepath.Base(dir)):
			what = "tablespace directory"
		case exists(dir, "archive_status"):
			what = "WAL directory"
		}
		if what != "" {
			return fmt.Errorf("directory %q lies in the %s %q of a cluster", path, what, dir)
		}
		if dir == "/" {
			return nil
		}
	}
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}
