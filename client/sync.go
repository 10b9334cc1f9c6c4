package client

import (
	"fmt"
	"os"
)

// sync makes all that was written durable: data, names and modes, of the data
// directory, its tablespaces and the parents that were created for them.
func (t *target) sync() error {
	var directories []*os.File
	defer func() {
		for _, d := range directories {
			d.Close()
		}
	}()
	for _, p := range t.places() {
		d, err := p.root.Open(".")
		if err != nil {
			return fmt.Errorf("could not open directory %q: %w", p.path, cause(err))
		}
		directories = append(directories, d)
	}
	if err := syncTrees(directories); err != nil {
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
