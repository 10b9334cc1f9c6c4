package datatree

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

// treeConfig says what a target is to be, and how it is to be written.
type Config struct {
	Dir     string // the data directory, an absolute path; it must be empty or absent
	WALDir  string // the directory that pg_wal becomes a link to, likewise; empty: no link
	Force   bool   // remove what a backup that was killed has left in a directory
	NoSync  bool   // do not wait until all is on disk
	NoClean bool   // on Undo leave behind what was written
	Log     output.Log
}

// target is where the backup is written: the data directory and, through no link
// but by themselves, the tablespaces. Paths are those of the protocol. The methods
// that write files may be called by several goroutines.
type Tree struct {
	Config
	claimTerms
	fileMode        fs.FileMode
	openDirectories int                 // that a sink keeps open; one at least
	located         []output.Tablespace // see Locate
	main            *claimed            // nil before Claim
	spaces          map[uint32]*claimed // by OID, those that have a link
	wal             *claimed            // nil: pg_wal is a directory like others
	order           []*claimed          // all of them, as they were occupied: main is the first
	systems         []fileSystem        // on which they are
}

// newTarget makes sure that the directories of c can be filled. It changes nothing.
func New(c Config) (*Tree, error) {
	t := &Tree{
		Config: c, claimTerms: claimTerms{force: c.Force, sync: !c.NoSync, log: c.Log}, openDirectories: 1, spaces: map[uint32]*claimed{},
	}
	if err := t.checkVacant(c.Dir); err != nil {
		return nil, err
	}
	if c.WALDir != "" {
		if err := t.checkVacant(c.WALDir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// checkVacant reports an error unless a directory can be filled: it lies in no cluster,
// and is absent or empty, or holds an unfinished backup that is to be removed.
func (t *Tree) checkVacant(path string) error {
	if err := checkOutside(path); err != nil {
		return err
	}
	err := checkVacant(path, nil)
	if t.Force && errors.Is(err, ErrUnfinished) {
		return nil
	}
	return err
}

// ClaimDirectory claims the data directory. mode is for it, and for what is created below it.
func (t *Tree) ClaimDirectory(mode fs.FileMode) (err error) {
	t.dirMode, t.fileMode = mode, mode&^0o111
	t.main, err = t.occupy(t.Dir)
	return err
}

// occupy makes a directory one of the target's.
func (t *Tree) occupy(path string) (*claimed, error) {
	p, err := t.claimTerms.claim(path, t.main)
	if err != nil {
		return nil, err
	}
	if err := t.addFileSystem(p); err != nil {
		return nil, errors.Join(err, p.restore())
	}
	t.order = append(t.order, p)
	return p, nil
}

// dropTablespace gives back the location of a tablespace that the backup has not.
func (t *Tree) dropTablespace(oid uint32) error {
	p := t.spaces[oid]
	delete(t.spaces, oid)
	t.order = slices.DeleteFunc(t.order, func(other *claimed) bool { return other == p })
	if err := p.restore(); err != nil {
		return fmt.Errorf("could not remove tablespace directory %q: %w", p.path, err)
	}
	return nil
}

// places are the directories that were occupied, the data directory first.
func (t *Tree) places() []*claimed { return t.order }

// close gives up the directories, as they are.
func (t *Tree) close() {
	for _, p := range t.places() {
		p.close()
	}
	t.closeFileSystems()
}

// locate finds the place of a path, and the path there.
func (t *Tree) locate(path string) (root *os.Root, rest string) {
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
func (t *Tree) makeDirectory(path string) error {
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

// EnsureDirectory is makeDirectory where the directory does not exist yet.
func (t *Tree) EnsureDirectory(path string) error {
	root, rest := t.locate(path)
	if info, err := root.Lstat(rest); err == nil && (info.IsDir() || path == output.WALFolder && t.wal != nil) {
		return nil
	}
	return t.makeDirectory(path)
}

// link creates the link of a tablespace.
func (t *Tree) link(oid uint32) error {
	name := "pg_tblspc/" + strconv.FormatUint(uint64(oid), 10)
	if err := t.main.root.Symlink(t.spaces[oid].path, name); err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", name, output.Cause(err))
	}
	return nil
}

// linkWAL creates the link pg_wal.
func (t *Tree) linkWAL() error {
	if err := t.main.root.Symlink(t.wal.path, output.WALFolder); err != nil {
		return fmt.Errorf("could not create symbolic link %q: %w", output.WALFolder, output.Cause(err))
	}
	return nil
}

// create creates a file, which must not exist.
func (t *Tree) Create(path string) (*os.File, error) {
	root, rest := t.locate(path)
	return t.createIn(root, rest, path)
}

// createIn creates the file name in a directory; path is for the message.
func (t *Tree) createIn(root *os.Root, name, path string) (*os.File, error) {
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
func (t *Tree) write(path string, content []byte) error {
	f, err := t.Create(path)
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

// append adds to a file, or creates it.
func (t *Tree) append(path string, content []byte) error {
	root, rest := t.locate(path)
	f, err := root.OpenFile(rest, os.O_WRONLY|os.O_CREATE|os.O_APPEND, t.fileMode)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	defer f.Close()
	if err := setFileMode(f, t.fileMode); err != nil {
		return fmt.Errorf("could not change permissions of file %q: %w", path, output.Cause(err))
	}
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("could not write to file %q: %w", path, output.Cause(err))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", path, output.Cause(err))
	}
	return nil
}

// remove removes a file.
func (t *Tree) Remove(path string) error {
	root, rest := t.locate(path)
	if err := root.Remove(rest); err != nil {
		return fmt.Errorf("could not remove file %q: %w", path, output.Cause(err))
	}
	return nil
}

// createUnnamed makes a file in the data directory that has no name, and is gone when it
// is closed. No file may have the name, which is for the moment.
func (t *Tree) CreateUnnamed(name string) (*os.File, error) {
	file, err := t.main.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, t.fileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", name, output.Cause(err))
	}
	if err := t.Remove(name); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// syncFile makes a file's content durable.
func (t *Tree) syncFile(path string) error {
	root, rest := t.locate(path)
	f, err := root.Open(rest)
	if err == nil {
		err = f.Sync()
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("could not synchronize file %q: %w", path, output.Cause(err))
	}
	return nil
}

// rename renames a file of the data directory within its directory. The new name
// is on disk when it returns, unless that is not wanted.
func (t *Tree) Rename(from, to string, sync bool) error {
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

// Undo leaves all directories as they were found, and says so. The last goes first:
// one may have been created for the sake of another.
func (t *Tree) Undo() {
	if t.main == nil {
		return
	}
	if t.NoClean {
		t.close()
		t.log.Info("data directory %q not removed at user's request", t.Dir)
		return
	}
	t.closeFileSystems()
	if err := t.main.hold(); err != nil {
		t.log.Warning("%v", err) // the removal will say so, too
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
		t.log.Info("removing %s %q", what, p.path)
		if err := p.restore(); err != nil {
			t.log.Warning("could not remove %s %q: %v", what, p.path, protocol.Shorten(err.Error(), 500))
		}
	}
}
