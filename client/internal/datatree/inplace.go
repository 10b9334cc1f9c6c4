package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// checkInPlace fails unless each path of the backup still leads to the directory that was
// filled, and each link of the backup to its directory. Files are written through handles:
// these follow a directory that is renamed, unmounted, or behind a link that was turned, and
// the user would find nothing, or another directory, where the backup is said to be (§5.6).
func (t *Tree) checkInPlace() error {
	for _, p := range t.order {
		if !p.inPlace() {
			return movedOrReplaced(p.path)
		}
	}
	for oid, p := range t.spaces {
		if err := t.checkLink("pg_tblspc/"+strconv.FormatUint(uint64(oid), 10), p); err != nil {
			return err
		}
	}
	if t.wal == nil {
		return nil
	}
	return t.checkLink(output.WALFolder, t.wal)
}

// checkLink fails unless a link of the data directory names the directory p.
func (t *Tree) checkLink(name string, p *claimed) error {
	if to, err := t.main.root.Readlink(name); err != nil || to != p.path {
		return movedOrReplaced(filepath.Join(t.main.path, name))
	}
	return nil
}

// inPlace reports whether the path, whose links are followed, leads to the directory.
func (p *claimed) inPlace() bool {
	opened, err := p.root.Stat(".")
	if err != nil {
		return false
	}
	found, err := os.Stat(p.path)
	return err == nil && os.SameFile(opened, found)
}

func movedOrReplaced(path string) error {
	return fmt.Errorf("directory %q was moved or replaced during the backup", path)
}

// madeDirectory is a directory that the backup has created. Its information tells it from
// what takes its place.
type madeDirectory struct {
	path string
	info fs.FileInfo
}

// makeOne creates a directory in one that exists.
func makeOne(path string, mode fs.FileMode) (madeDirectory, error) {
	if err := os.Mkdir(path, mode); err != nil {
		return madeDirectory{}, fmt.Errorf("could not create directory %q: %w", path, output.Cause(err))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return madeDirectory{}, fmt.Errorf("could not access directory %q: %w", path, output.Cause(err))
	}
	return madeDirectory{path, info}, nil
}

// errNotOurs says that something else has the path of a directory that the backup has
// created, or nothing.
var errNotOurs = errors.New("it was moved or replaced during the backup")

// remove removes the directory, which must be empty, and never what has taken its place:
// os.Remove would remove a file or a link as well.
func (d madeDirectory) remove() error {
	found, err := os.Lstat(d.path)
	if isAbsent(err) || err == nil && !os.SameFile(d.info, found) {
		return errNotOurs
	}
	if err == nil {
		err = syscall.Rmdir(d.path)
	}
	return err
}
