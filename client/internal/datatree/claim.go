package datatree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// place is a directory that the backup fills: the target, or the location of a
// tablespace or of WAL. It knows what was there before.
type claimed struct {
	path     string
	owner    *claimed // the data directory; nil: this is it
	root     *os.Root
	device   uint64      // of its file system
	marker   *os.File    // locked; nil where owner's marker has the lock
	adopted  bool        // it held an unfinished backup, which is gone
	made     []string    // directories that were created for it, itself the last; empty: it was there
	unsynced error       // why the file system does not make names durable; nil: it does
	changed  bool        // it was there, and had another mode:
	mode     fs.FileMode // this one
}

// occupation is how directories are occupied.
type claimTerms struct {
	dirMode fs.FileMode // of what is created
	force   bool        // whatever an unfinished backup has left there is removed
	sync    bool
	log     output.Log
}

const lostAndFound = "lost+found"

// checkVacant reports an error unless a directory can be filled: it is absent, or
// empty. The error wraps [ErrUnfinished] where that would be so by force. For main, see
// claimUnfinished.
func checkVacant(path string, main *claimed) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", path, output.Cause(err))
	}
	defer d.Close()
	names, err := d.Readdirnames(2)
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("could not read directory %q: %w", path, output.Cause(err))
	case len(names) == 1 && names[0] == lostAndFound:
		return fmt.Errorf("%w: it contains %s, perhaps because it is a mount point: use a directory below it", notEmpty(path), lostAndFound)
	}
	return checkUnfinished(path, main)
}

// occupy creates a directory, and the parents that it lacks, or takes an empty one. On
// an error all is as before, but for an unfinished backup that was removed.
func (o claimTerms) claim(path string, owner *claimed) (p *claimed, err error) {
	p = &claimed{path: path, owner: owner}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.restore())
		}
	}()
	if err := p.makeDirectories(o.dirMode); err != nil {
		return p, err
	}
	// Once more: only now is it certain that nobody else had it.
	err = checkVacant(path, owner)
	switch {
	case err == nil:
		err = p.mark(o.sync)
	case o.force && errors.Is(err, ErrUnfinished):
		o.log.Info("removing unfinished backup in directory %q", path)
		err = p.adopt(o.sync)
	}
	if err != nil {
		return p, err
	}
	if len(p.made) > 0 {
		if err := setMode(p.root, ".", o.dirMode); err != nil {
			return p, fmt.Errorf("could not change permissions of directory %q: %w", path, output.Cause(err))
		}
	}
	if o.sync {
		err = p.syncNames()
	}
	return p, err
}

// mark makes the directory this backup's, which it is not before: of two backups that
// find it empty only one can create the marker, and the other must touch nothing.
func (p *claimed) mark(sync bool) error {
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, output.Cause(err))
	}
	if err := p.createMarker(root, output.MarkerFile, sync); err != nil {
		root.Close()
		return err
	}
	p.root = root
	return nil
}

// createMarker creates the marker under a name. That of a data directory stays locked.
func (p *claimed) createMarker(root *os.Root, name string, sync bool) error {
	text := markerText
	if p.owner != nil {
		text = fmt.Sprintf(otherMarkerText, p.owner.path, p.owner.inode())
	}
	f, err := createMarker(root, p.path, name, text, sync)
	if err != nil {
		return err
	}
	if p.owner != nil {
		if err := f.Close(); err != nil {
			root.Remove(name) // a marker that is left would be taken for another backup's
			return markerNotWritten(p.path, err)
		}
		return nil
	}
	p.marker = f
	return nil
}

// inode is the directory's.
func (p *claimed) inode() uint64 {
	info, err := p.root.Stat(".")
	if err != nil {
		return 0 // no directory has it
	}
	return inodeOf(info)
}

// adopt makes the directory of an unfinished backup this backup's, and removes what it
// holds. From before the first look to the end nobody else can do so, nor finish the
// backup, and at no time is the directory without what says that it is unfinished.
func (p *claimed) adopt(sync bool) error {
	c, err := lockLeftover(p.path, p.owner)
	if err != nil {
		return err
	}
	defer c.close()
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, output.Cause(err))
	}
	if err := p.replaceMarker(root, sync); err != nil {
		root.Close()
		return err
	}
	p.root, p.adopted = root, true
	return p.clear()
}

// replaceMarker puts this backup's marker in the place of the one that was there, if
// there was one.
func (p *claimed) replaceMarker(root *os.Root, sync bool) error {
	const temporary = output.MarkerFile + ".new"
	if err := root.Remove(temporary); err != nil && !isAbsent(err) {
		return markerNotWritten(p.path, err)
	}
	if err := p.createMarker(root, temporary, sync); err != nil {
		return err
	}
	if err := root.Rename(temporary, output.MarkerFile); err != nil {
		p.unlock()
		return markerNotWritten(p.path, err)
	}
	return nil
}

// makeDirectories creates the directory and its missing parents, as mkdir -p does. It
// records each directory that it creates in made, for undo to remove.
func (p *claimed) makeDirectories(mode fs.FileMode) error {
	absent, err := AbsentDirectories(p.path)
	if err != nil {
		return err
	}
	for _, dir := range absent {
		if err := os.Mkdir(dir, mode); err != nil {
			return fmt.Errorf("could not create directory %q: %w", dir, output.Cause(err))
		}
		p.made = append(p.made, dir)
	}
	return nil
}

// absentDirectories are those of a directory and its parents that do not exist, the
// first of them first.
func AbsentDirectories(path string) ([]string, error) {
	var absent []string
	for dir := path; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			slices.Reverse(absent)
			return absent, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("could not access directory %q: %w", dir, output.Cause(err))
		}
		absent = append(absent, dir)
	}
}

// vacate removes all that the directory holds, which nobody but the backup has put
// there, and the directory itself where it was created, with its parents unless they
// hold something else by now. It follows no links. It goes on after an error, and
// returns all of them.
func (p *claimed) restore() error {
	var failed []error
	if p.root != nil {
		failed = append(failed, p.empty())
		if p.changed {
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
func (p *claimed) close() {
	p.unlock()
	p.root.Close()
}

func (p *claimed) unlock() {
	if p.marker != nil {
		p.marker.Close()
		p.marker = nil
	}
}

// empty removes all that the directory holds, the marker last: whatever interrupts it
// must not leave a directory behind that PostgreSQL would start from, nor one that
// [Options.Force] does not know.
func (p *claimed) empty() error {
	if err := p.hold(); err != nil {
		return err
	}
	if err := p.clear(); err != nil {
		return err
	}
	return p.root.RemoveAll(output.MarkerFile)
}

// hold takes back what a release has done.
func (p *claimed) hold() error {
	if p.owner == nil {
		for _, held := range heldFiles {
			err := p.root.Rename(strings.TrimSuffix(held, output.IncompleteSuffix), held)
			if err != nil && !isAbsent(err) {
				return fmt.Errorf("could not rename file %q: %w", held, output.Cause(err))
			}
		}
	}
	if _, err := p.root.Lstat(output.MarkerFile); isAbsent(err) {
		// A disk that is full has no room for it, and must not keep the rest.
		p.unlock()
		p.createMarker(p.root, output.MarkerFile, false) //nolint:errcheck // see above
	}
	return nil
}

// clear removes all that the directory holds but for the marker.
func (p *claimed) clear() error {
	d, err := p.root.Open(".")
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, output.Cause(err))
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	failed := []error{err}
	for _, name := range names {
		if name != output.MarkerFile {
			failed = append(failed, p.root.RemoveAll(name))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("could not remove the contents of directory %q: %w", p.path, err)
	}
	return nil
}

// syncNames makes durable what names the directory has, or notes why that is not to be
// had.
func (p *claimed) syncNames() error {
	err := p.fsync(".")
	if cannotSync(err) {
		p.unsynced, err = err, nil
	}
	return err
}

// syncDirectory makes the names of a directory below this one durable, where the file
// system can.
func (p *claimed) syncDirectory(name string) error {
	if err := p.fsync(name); !cannotSync(err) {
		return err
	}
	return nil
}

func (p *claimed) fsync(name string) error {
	d, err := p.root.Open(name)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return fmt.Errorf("could not synchronize directory %q: %w", filepath.Join(p.path, name), output.Cause(err))
	}
	return nil
}
