package client

import (
	"errors"
	"fmt"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// checkPlaces makes sure that the directories which the options name can be filled,
// before the server is asked anything.
func (b *backup) checkPlaces() error {
	if b.output() != nil {
		return nil
	}
	if err := b.checkVacant(b.Dir); err != nil {
		return err
	}
	if b.WAL.Dir == "" {
		return nil
	}
	return b.checkVacant(b.WAL.Dir)
}

// checkVacant is checkVacant for a directory in no cluster, which takes an unfinished backup for vacant where it is to
// be removed.
func (b *backup) checkVacant(path string) error {
	if err := checkOutside(path); err != nil {
		return err
	}
	err := checkVacant(path, nil)
	if b.Force && errors.Is(err, ErrUnfinished) {
		return nil
	}
	return err
}

// addWAL occupies the directory that pg_wal will be a link to.
func (t *target) addWAL(path string) error {
	p, err := t.occupy(path)
	if err != nil {
		return err
	}
	t.wal = p
	return nil
}

// linkWAL creates the link pg_wal.
func (t *target) linkWAL() error {
	if err := t.main.root.Symlink(t.wal.path, output.WALFolder); err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", output.WALFolder, output.Cause(err))
	}
	return nil
}
