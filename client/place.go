package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// place is a directory that the backup fills: the target, or the location of a
// tablespace. It knows what was there before.
type place struct {
	path string
	root *os.Root
	made []string    // directories that were created for it, itself the last; empty: it was there
	mode fs.FileMode // what it had, where it was there
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
	root, err := os.OpenRoot(path)
	if err != nil {
		return p, fmt.Errorf("could not open directory %q: %w", path, cause(err))
	}
	if err := root.Chmod(".", mode); err != nil {
		root.Close()
		return p, fmt.Errorf("could not change permissions of directory %q: %w", path, cause(err))
	}
	p.root, p.mode = root, info.Mode().Perm()
	return p, nil
}

// makeDirectories is mkdir -p, and takes down what it creates.
func (p *place) makeDirectories(mode fs.FileMode) error {
	var absent []string
	for dir := p.path; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("could not access directory %q: %w", dir, cause(err))
		}
		absent = append(absent, dir)
	}
	for i := len(absent) - 1; i >= 0; i-- {
		if err := os.Mkdir(absent[i], mode); err != nil {
			return fmt.Errorf("could not create directory %q: %w", absent[i], cause(err))
		}
		p.made = append(p.made, absent[i])
	}
	return nil
}

// vacate removes all that the directory holds, which nobody but the backup has put
// there, and the directory itself where it was created. It follows no links. It
// goes on after an error, and returns all of them.
func (p *place) vacate() error {
	var failed []error
	if p.root != nil {
		failed = append(failed, p.empty())
		if len(p.made) == 0 {
			failed = append(failed, p.root.Chmod(".", p.mode))
		}
		p.root.Close()
	}
	for i := len(p.made) - 1; i >= 0; i-- {
		failed = append(failed, os.Remove(p.made[i]))
	}
	return errors.Join(failed...)
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
		failed = append(failed, p.root.RemoveAll(name))
	}
	return errors.Join(failed...)
}
