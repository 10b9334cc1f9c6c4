package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// target is where the backup is written: the data directory and, through no link
// but by themselves, the tablespaces. Paths are those of the protocol. The methods
// that write files may be called by several goroutines.
type target struct {
	occupation
	fileMode   fs.FileMode
	maxFolders int // that a worker keeps open; one at least
	main       *place
	spaces     map[uint32]*place // by OID, those that have a link
	wal        *place            // nil: pg_wal is a directory like others
	order      []*place          // all of them, as they were occupied: main is the first
	systems    []fileSystem      // on which they are
}

// newTarget occupies dir.
func newTarget(dir string, o occupation) (*target, error) {
	t := &target{occupation: o, fileMode: o.dirMode &^ 0o111, spaces: map[uint32]*place{}}
	var err error
	if t.main, err = t.occupy(dir); err != nil {
		return nil, err
	}
	return t, nil
}

// occupy makes a directory one of the target's.
func (t *target) occupy(path string) (*place, error) {
	p, err := t.occupation.occupy(path, t.main)
	if err != nil {
		return nil, err
	}
	if err := t.addFileSystem(p); err != nil {
		return nil, errors.Join(err, p.vacate())
	}
	t.order = append(t.order, p)
	return p, nil
}

// addTablespace occupies the location of a tablespace.
func (t *target) addTablespace(oid uint32, location string) error {
	p, err := t.occupy(location)
	if err != nil {
		return err
	}
	t.spaces[oid] = p
	return nil
}

// dropTablespace gives back the location of a tablespace that the backup has not.
func (t *target) dropTablespace(oid uint32) error {
	p := t.spaces[oid]
	delete(t.spaces, oid)
	t.order = slices.DeleteFunc(t.order, func(other *place) bool { return other == p })
	if err := p.vacate(); err != nil {
		return fmt.Errorf("could not remove tablespace directory %q: %w", p.path, err)
	}
	return nil
}

// places are the directories that were occupied, the data directory first.
func (t *target) places() []*place {
	if t == nil {
		return nil
	}
	return t.order
}

// close gives up the directories, as they are.
func (t *target) close() {
	for _, p := range t.places() {
		p.close()
	}
	t.closeFileSystems()
}

// locate finds the place of a path, and the path there.
func (t *target) locate(path string) (root *os.Root, rest string) {
	if oid, rest, within := output.SplitTablespacePath(path); within && rest != "" {
		if p := t.spaces[oid]; p != nil {
			return p.root, rest
		}
	}
	if rest, within := strings.CutPrefix(path, output.WALFolder+"/"); within && t.wal != nil {
		return t.wal.root, rest
	}
	return t.main.root, path
}

// makeDirectory creates a directory, in one that exists. The umask has no say.
func (t *target) makeDirectory(path string) error {
	if path == output.WALFolder && t.wal != nil {
		return t.linkWAL()
	}
	root, rest := t.locate(path)
	err := root.Mkdir(rest, t.dirMode)
	if err == nil {
		err = setMode(root, rest, t.dirMode)
	}
	if err != nil {
		return fmt.Errorf("could not create directory %q: %w", path, output.Cause(err))
	}
	return nil
}

// ensureDirectory is makeDirectory where the directory does not exist yet.
func (t *target) ensureDirectory(path string) error {
	root, rest := t.locate(path)
	if info, err := root.Lstat(rest); err == nil && (info.IsDir() || path == output.WALFolder && t.wal != nil) {
		return nil
	}
	return t.makeDirectory(path)
}

// link creates the link of a tablespace.
func (t *target) link(oid uint32) error {
	name := "pg_tblspc/" + strconv.FormatUint(uint64(oid), 10)
	if err := t.main.root.Symlink(t.spaces[oid].path, name); err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", name, output.Cause(err))
	}
	return nil
}

// create creates a file, which must not exist.
func (t *target) create(path string) (*os.File, error) {
	root, rest := t.locate(path)
	return t.createIn(root, rest, path)
}

// createIn creates the file name in a directory; path is for the message.
func (t *target) createIn(root *os.Root, name, path string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, t.fileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", path, output.Cause(err))
	}
	if err := setFileMode(f, t.fileMode); err != nil {
		f.Close()
		return nil, fmt.Errorf("could not change permissions of file %q: %w", path, output.Cause(err))
	}
	return f, nil
}

// write creates a small file with its content.
func (t *target) write(path string, content []byte) error {
	f, err := t.create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("could not write file %q: %w", path, output.Cause(err))
	}
	return nil
}

// rename renames a file of the data directory within its directory. The new name
// is on disk when it returns, unless that is not wanted.
func (t *target) rename(from, to string, sync bool) error {
	root, rest := t.locate(from)
	_, newRest := t.locate(to)
	if err := root.Rename(rest, newRest); err != nil {
		return fmt.Errorf("could not rename file %q to %q: %w", from, to, output.Cause(err))
	}
	if !sync {
		return nil
	}
	return t.main.syncDirectory(filepath.Dir(to))
}

// undo leaves all directories as they were found, and says so. The last goes first:
// one may have been created for the sake of another.
func (t *target) undo(tell func(level EventLevel, format string, args ...any)) {
	t.closeFileSystems()
	if err := t.main.hold(); err != nil {
		tell(LevelWarning, "%v", err) // the removal will say so, too
	}
	for _, p := range slices.Backward(t.places()) {
		what := "tablespace directory"
		switch p {
		case t.main:
			what = "data directory"
		case t.wal:
			what = "WAL directory"
		}
		if len(p.made) == 0 {
			what = "contents of " + what
		}
		tell(LevelInfo, "removing %s %q", what, p.path)
		if err := p.vacate(); err != nil {
			tell(LevelWarning, "could not remove %s %q: %v", what, p.path, protocol.Shorten(err.Error(), 500))
		}
	}
}
