package client

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sync makes all that was written durable: data, names and modes, of the data
// directory, its tablespaces and the parents that were created for them.
func (t *target) sync() error {
	if err := syncTrees(t.places()); err != nil {
		return fmt.Errorf("could not synchronize directory %q to disk: %w", t.main.path, err)
	}
	for _, p := range t.places() {
		if err := p.syncParents(); err != nil {
			return err
		}
	}
	return nil
}

// syncParents makes durable that the directory is there, where it was not before.
func (p *place) syncParents() error {
	for _, made := range p.made {
		if err := syncDirectoryOf(made); err != nil {
			return fmt.Errorf("could not synchronize the parent of directory %q to disk: %w", made, cause(err))
		}
	}
	return nil
}

// syncTree makes the tree below a directory durable, file by file. It follows no
// links: each tablespace is a tree of its own.
func syncTree(path string) error {
	return filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !(entry.IsDir() || entry.Type().IsRegular()) {
			return err
		}
		return syncFile(path)
	})
}

func syncDirectoryOf(path string) error { return syncFile(filepath.Dir(path)) }

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
