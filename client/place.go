package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// place is a directory that the backup fills: the target, or the location of a
// tablespace. It knows what was there before.
type place struct {
	path   string
	root   *os.Root
	marker *os.File    // see writeMarker
	made   []string    // directories that were created for it, itself the last; empty: it was there
	mode   fs.FileMode // what it had, where it was there
}

// checkVacant reports an error unless a directory can be filled: it is absent, or
// empty.
func checkVacant(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", path, cause(err))
	}
	defer d.Close()
	switch _, err := d.Readdirnames(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("could not read directory %q: %w", path, cause(err))
	}
	if err := checkUnfinished(path); err != nil {
		return err
	}
	return fmt.Errorf("directory %q exists but is not empty", path)
}

// occupy creates a directory, and the parents that it lacks, or takes an empty one;
// its mode becomes mode. On an error all is as before.
func occupy(path string, mode fs.FileMode) (p *place, err error) {
	p = &place{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.vacate())
		}
	}()
	if err := p.makeDirectories(mode); err != nil {
		return p, err
	}
	// Once more: only now is it certain that nobody else had it.
	if err := checkVacant(path); err != nil {
		return p, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return p, fmt.Errorf("could not access directory %q: %w", path, cause(err))
	}
	if err := p.mark(); err != nil {
		return p, err
	}
	p.mode = info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if p.mode.Perm() == mode {
		return p, nil
	}
	if err := p.root.Chmod(".", mode); err != nil {
		return p, fmt.Errorf("could not change permissions of directory %q: %w", path, cause(err))
	}
	return p, nil
}

// mark makes the directory this backup's, which it is not before: of two backups that
// find it empty only one can create the marker, and the other must touch nothing.
func (p *place) mark() error {
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, cause(err))
	}
	marker, err := writeMarker(root)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("directory %q is being written by another backup", p.path)
	} else if err != nil {
		err = fmt.Errorf("could not write file %q: %w", filepath.Join(p.path, markerFile), cause(err))
	}
	if err != nil {
		root.Close()
		return err
	}
	p.root, p.marker = root, marker
	return nil
}

// makeDirectories is mkdir -p, and takes down what it creates.
func (p *place) makeDirectories(mode fs.FileMode) error {
	absent, err := absentDirectories(p.path)
	if err != nil {
		return err
	}
	for _, dir := range absent {
		if err := os.Mkdir(dir, mode); err != nil {
			return fmt.Errorf("could not create directory %q: %w", dir, cause(err))
		}
		p.made = append(p.made, dir)
	}
	return nil
}

// absentDirectories are those of a directory and its parents that do not exist, the
// first of them first.
func absentDirectories(path string) ([]string, error) {
	var absent []string
	for dir := path; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			slices.Reverse(absent)
			return absent, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("could not access directory %q: %w", dir, cause(err))
		}
		absent = append(absent, dir)
	}
}

// vacate removes all that the directory holds, which nobody but the backup has put
// there, and the directory itself where it was created, with its parents unless they
// hold something else by now. It follows no links. It goes on after an error, and
// returns all of them.
func (p *place) vacate() error {
	var failed []error
	if p.root != nil {
		failed = append(failed, p.empty())
		if len(p.made) == 0 {
			failed = append(failed, p.root.Chmod(".", p.mode))
		}
		p.close()
	}
	for i, dir := range slices.Backward(p.made) {
		err := os.Remove(dir)
		if notEmpty := errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST); notEmpty && i < len(p.made)-1 {
			break
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// close gives up the directory, as it is.
func (p *place) close() {
	if p.marker != nil {
		p.marker.Close()
	}
	p.root.Close()
}

func (p *place) empty() error {
	// Whatever interrupts this must not leave a directory behind that
	// PostgreSQL would start from.
	if err := p.root.Remove(controlFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d, err := p.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	failed := []error{err}
	for _, name := range names {
		if name != markerFile {
			failed = append(failed, p.root.RemoveAll(name))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return p.root.RemoveAll(markerFile)
}
