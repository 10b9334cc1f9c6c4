package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// markerFile is in every directory that a backup fills, until the backup is whole.
const markerFile = "pgparallel.incomplete"

const markerText = `pgparallel has begun to write a base backup here, and has not finished it.
Either it is still at work, or it was killed. What is here is not a backup, and no
server can be started from it. "pgparallel backup --force" removes it and takes the
backup anew.
`

// ErrUnfinished is wrapped in the error of [Backup] where a directory holds what a
// backup has left that was killed. [Options.Force] removes it.
var ErrUnfinished = errors.New("unfinished backup")

// writeMarker marks a directory, and locks the marker for as long as the file is open.
// Where there are no locks, as on some network file systems, there is none.
func writeMarker(root *os.Root) (*os.File, error) {
	f, err := root.OpenFile(markerFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:errcheck // see above
	if _, err := f.WriteString(markerText); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkUnfinished is an error that wraps [ErrUnfinished] where the directory has the
// marker, another one where the backup still runs, and nil elsewhere.
func checkUnfinished(path string) error {
	name := filepath.Join(path, markerFile)
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not access file %q: %w", name, cause(err))
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", name, cause(err))
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("directory %q is being written by another backup", path)
	}
	return fmt.Errorf("directory %q holds an %w", path, ErrUnfinished)
}

// clearUnfinished removes what a directory with the marker holds, the marker last. It
// follows no links. Any other directory it leaves alone.
func clearUnfinished(path string) error {
	if err := checkUnfinished(path); !errors.Is(err, ErrUnfinished) {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", path, cause(err))
	}
	defer root.Close()
	if err := (&place{path: path, root: root}).empty(); err != nil {
		return fmt.Errorf("could not remove the contents of directory %q: %w", path, err)
	}
	return nil
}

// makeVacant is checkVacant, which removes an unfinished backup first where that is
// wanted.
func (b *backup) makeVacant(path string) error {
	err := checkVacant(path)
	switch {
	case !b.Force || !errors.Is(err, ErrUnfinished):
		return err
	case b.planOnly:
		return nil
	}
	b.events.tell(LevelInfo, "removing unfinished backup in directory %q", path)
	return clearUnfinished(path)
}

// removeMarker says that the backup is whole.
func (b *backup) removeMarker(context.Context) error {
	if b.target == nil {
		return nil
	}
	for _, p := range b.target.places() {
		if err := p.root.Remove(markerFile); err != nil {
			return fmt.Errorf("could not remove file %q: %w", filepath.Join(p.path, markerFile), cause(err))
		}
	}
	if b.NoSync {
		return nil
	}
	for _, p := range b.target.places() {
		if err := p.syncNames(); err != nil {
			return err
		}
	}
	return nil
}

// syncNames makes durable what names the directory has.
func (p *place) syncNames() error {
	d, err := p.root.Open(".")
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return fmt.Errorf("could not synchronize directory %q: %w", p.path, cause(err))
	}
	return nil
}
