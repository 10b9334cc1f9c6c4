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

// claimed is a directory that belongs to this backup: the data directory, or the one of a
// tablespace or of WAL. It knows what was there before.
type claimed struct {
	path     string
	owner    *claimed // the data directory; nil: this is it
	systemID uint64   // of the cluster, for the marker of the data directory
	root     *os.Root
	device   uint64          // of its file system
	marker   *os.File        // locked; nil where owner's marker has the lock
	adopted  bool            // it held an unfinished backup, which is gone, or kept
	kept     bool            // what it held is still there, see Refresh, and is never removed as a whole
	made     []madeDirectory // itself the last; empty: it was there
	unsynced error           // why the file system does not make names durable; nil: it does
	listed   *contents       // what is in it, as each new marker says; nil: it is not known yet
	changed  bool            // it was there, and had another mode:
	mode     fs.FileMode     // this one
}

const lostAndFound = "lost+found"

// checkVacant reports an error unless a directory is absent or empty. The error wraps
// [ErrUnfinished] where the directory holds an unfinished backup, which force may remove.
// main is the data directory of the backup, where that is claimed already.
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

// claim creates a directory, and the parents that it lacks, or takes an empty one. After an
// error everything is as before, except for an unfinished backup that was removed.
func (t *Tree) claim(path string) (p *claimed, err error) {
	p = &claimed{path: path, owner: t.main, systemID: t.systemID}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.restore())
		}
	}()
	if err := p.makeDirectories(t.dirMode); err != nil {
		return p, err
	}
	if err := t.take(p); err != nil {
		return p, err
	}
	if len(p.made) > 0 {
		if err := setMode(p.root, ".", t.dirMode); err != nil {
			return p, fmt.Errorf("could not change permissions of directory %q: %w", path, output.Cause(err))
		}
	}
	if !t.NoSync {
		if err := p.syncNames(); err != nil {
			return p, err
		}
	}
	return p, t.addFileSystem(p)
}

// take makes the directory this backup's, or fails.
func (t *Tree) take(p *claimed) error {
	if link, ours := t.earlierPart(p.path); ours {
		if p.owner == nil {
			return p.takeFinished(t.finished)
		}
		return p.takePart(t.finished, link, !t.NoSync)
	}
	// Once more: only now is it certain that nobody else had it.
	err := checkVacant(p.path, t.main)
	switch {
	case err == nil:
		return p.mark(!t.NoSync)
	case t.keep && errors.Is(err, ErrUnfinished):
		t.Log.Info("taking up unfinished backup in directory %q", p.path)
		return p.adopt(!t.NoSync)
	case t.Force && errors.Is(err, ErrUnfinished):
		t.Log.Info("removing unfinished backup in directory %q", p.path)
		if err := p.adopt(!t.NoSync); err != nil {
			return err
		}
		p.kept = false
		return p.clear()
	}
	return err
}

// earlierPart reports whether a directory is a part of the finished backup that is kept, and by
// which link, which its data directory has none of.
func (t *Tree) earlierPart(path string) (link string, ours bool) {
	if t.finished == nil {
		return "", false
	}
	if path == t.Dir {
		return "", true
	}
	link = t.finished.part(path)
	return link, link != ""
}

// mark makes the directory this backup's. Of two backups that find a directory empty, one
// creates the marker; the other must touch nothing.
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
	switch {
	case p.owner != nil:
		text = fmt.Sprintf(otherMarkerText, p.owner.path, p.owner.inode())
	case p.systemID != 0:
		text += fmt.Sprintf(systemLine, p.systemID)
	}
	if p.listed != nil {
		line, err := p.listed.line()
		if err != nil {
			return err
		}
		text += line
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

// adopt makes the directory of an unfinished backup this backup's, with what it holds.
// Nobody else can do so at the same time, or finish that backup, and at no time is
// the directory without a file that says that it is unfinished.
func (p *claimed) adopt(sync bool) error {
	c, err := lockLeftover(p.path, p.owner)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.checkContents(p.path); err != nil {
		return err
	}
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, output.Cause(err))
	}
	p.listed = c.listed
	if err := p.replaceMarker(root, sync); err != nil {
		root.Close()
		return err
	}
	p.root, p.adopted, p.kept = root, true, true
	return nil
}

// replaceMarker replaces the marker of the unfinished backup, if it has one.
func (p *claimed) replaceMarker(root *os.Root, sync bool) error {
	const temporary = formerMarker
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
// records each directory that it creates in made, for restore to remove.
func (p *claimed) makeDirectories(mode fs.FileMode) error {
	absent, err := AbsentDirectories(p.path)
	if err != nil {
		return err
	}
	for _, dir := range absent {
		made, err := makeOne(dir, mode)
		if err != nil {
			return err
		}
		p.made = append(p.made, made)
	}
	return nil
}

// AbsentDirectories are those of a directory and its parents that do not exist, parents
// first.
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

// restore removes what the backup has put into the directory, and the directories that
// makeDirectories created, except for parents that hold something else by now. It follows no
// links, and leaves what has taken the place of a directory. It goes on after an error, and
// returns all errors.
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
		err := dir.remove()
		kept := errors.Is(err, errNotOurs) || errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
		if kept && i < len(p.made)-1 {
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

// empty removes all that the directory holds, the marker last: an interruption must not
// leave a directory that PostgreSQL would start from, or that force does not recognize.
func (p *claimed) empty() error {
	if err := p.hold(); err != nil {
		return err
	}
	if err := p.clear(); err != nil {
		return err
	}
	return p.root.RemoveAll(output.MarkerFile)
}

// hold takes back what a release has done: the held file gets its temporary name, and the
// directory its marker.
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
		_ = p.createMarker(p.root, output.MarkerFile, false) // see above
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

// syncNames makes the names in the directory durable, or notes why the file system cannot
// do that.
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
