package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// part is a directory of a finished backup beside its data directory: that of a tablespace, or of
// WAL.
//
// Where a new backup is made beside the old one, its parts are other directories than the old
// one's. Each backup's links lead to its own, so that the two change places at once with their data
// directories, and until then the old one has all that is its own. Then the old parts go, ahead of
// the links that lead to them. Each gets a marker for that: one that names the old data directory
// where it lies then, and so is void as long as that is a backup. A refresh that is killed at any
// point of this leaves parts that the next one knows: by the links of a finished backup, or by their
// markers.
type part struct {
	link string // in the data directory
	path string
	root *os.Root
}

// openParts opens the parts of the backup, and makes sure that they hold nothing else.
func (f *finished) openParts() error {
	for _, link := range append(f.links(), output.WALFolder) {
		to, err := f.root.Readlink(link)
		if err != nil {
			continue // pg_wal is a directory
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(f.path, path.Dir(link), to)
		}
		root, err := os.OpenRoot(to)
		if isAbsent(err) {
			continue // nothing of it is kept
		}
		if err != nil {
			return fmt.Errorf("could not open directory %q: %w", to, output.Cause(err))
		}
		p := part{link, to, root}
		f.parts = append(f.parts, p)
		if err := f.checkPart(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *finished) checkPart(p part) error {
	c := &leftover{root: p.root, part: true, listed: f.contents(p.link + "/"), has: f.files(p.link + "/")}
	return c.checkContents(p.path)
}

// locate finds the directory of the backup that holds a path, and the path within it.
func (f *finished) locate(name string) (root *os.Root, rest string) {
	for _, p := range f.parts {
		if rest, below := strings.CutPrefix(name, p.link+"/"); below {
			return p.root, rest
		}
	}
	return f.root, name
}

// checkApart makes sure that a directory of the new backup is none of the old one's.
func (f *finished) checkApart(dir string) error {
	for _, has := range append([]part{{path: f.path}}, f.parts...) {
		overlaps, err := Overlap(dir, has.path)
		if err != nil {
			return err
		}
		if overlaps {
			return fmt.Errorf("directory %q is of the backup in directory %q, which with the same directories %w", dir, f.path, ErrNeedsInPlace)
		}
	}
	return nil
}

// markParts marks parts as those of an unfinished backup whose data directory is the one of the
// finished backup, at another path by now.
func (f *finished) markParts(parts []part, dir string, sync bool) error {
	owner := &claimed{path: dir, root: f.root}
	for _, p := range parts {
		c := &claimed{path: p.path, root: p.root, owner: owner, listed: f.contents(p.link + "/")}
		if err := p.root.Remove(output.MarkerFile); err != nil && !isAbsent(err) {
			return markerNotWritten(p.path, err)
		}
		if err := c.createMarker(p.root, output.MarkerFile, sync); err != nil {
			return err
		}
	}
	return nil
}

// unmarkParts takes back what markParts has done.
func (f *finished) unmarkParts() error {
	var failed []error
	for _, p := range f.parts {
		if err := p.root.Remove(output.MarkerFile); err != nil && !isAbsent(err) {
			failed = append(failed, fmt.Errorf("could not remove file %q: %w", filepath.Join(p.path, output.MarkerFile), output.Cause(err)))
		}
	}
	return errors.Join(failed...)
}

// removeParts removes the parts with all that they hold. One that has not stayed what the backup
// had stays: somebody may have made a copy of the data directory alone, whose links lead here, and
// started a server from that.
func (f *finished) removeParts(log output.Log) {
	for _, p := range f.parts {
		err := f.checkUntouched(p)
		if err != nil {
			err = errors.Join(err, p.root.Remove(output.MarkerFile)) // nobody is to remove it for that
		} else {
			err = p.remove()
		}
		if err != nil {
			log.Warning("directory %q of the old backup is not removed: %v", p.path, output.Cause(err))
		}
	}
}

// remove removes the directory with all that it holds, the marker last.
func (p part) remove() error {
	c := &claimed{path: p.path, root: p.root}
	if err := c.clear(); err != nil {
		return err
	}
	if err := p.root.Remove(output.MarkerFile); err != nil {
		return err
	}
	return os.Remove(p.path)
}

// checkUntouched makes sure that a part holds the files of the manifest in their sizes, none other,
// and none that was written behind it. No manifest has WAL.
func (f *finished) checkUntouched(p part) error {
	if p.link == output.WALFolder {
		return f.checkPart(p)
	}
	sizes := map[string]int64{}
	for _, listed := range f.manifest.Files {
		if rest, below := strings.CutPrefix(listed.Path, p.link+"/"); below {
			sizes[rest] = listed.Size
		}
	}
	return fs.WalkDir(p.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name == output.MarkerFile {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if size, listed := sizes[name]; !listed || !info.Mode().IsRegular() || info.Size() != size || info.ModTime().After(f.made) {
			return fmt.Errorf("file %q was changed since the backup was taken", name)
		}
		return nil
	})
}

// madeAt is when the manifest was written, behind all other files.
func madeAt(root *os.Root, name string) (time.Time, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return time.Time{}, fmt.Errorf("could not stat file %q: %w", name, output.Cause(err))
	}
	return info.ModTime(), nil
}

// markOrphans marks the parts of the backup beside the old one that the new one has no use for. It
// is finished, and the next step makes it one that is not.
func (r *Refresh) markOrphans() error {
	if r.old == nil {
		return nil
	}
	defer r.finished.closeParts()
	var unused []part
	for _, p := range r.finished.parts {
		if r.has(p.path) {
			continue
		}
		if err := r.finished.checkUntouched(p); err != nil {
			r.Log.Warning("directory %q of an earlier backup is not removed: %v", p.path, output.Cause(err))
			continue
		}
		unused = append(unused, p)
	}
	return r.finished.markParts(unused, r.Dir, !r.NoSync)
}

// removeOrphans removes the parts that an interrupted refresh has left, where this one has no use for
// them: only the links beside the old backup lead there, and they go.
func (r *Refresh) removeOrphans() {
	if r.old == nil || !r.main.kept {
		return
	}
	for _, link := range append((&finished{root: r.main.root}).links(), output.WALFolder) {
		to, err := r.main.root.Readlink(link)
		if err != nil || r.has(to) {
			continue
		}
		if err := r.removeOrphan(to); err != nil && !isAbsent(err) {
			r.Log.Warning("directory %q of an earlier backup is not removed: %v", to, output.Cause(err))
		}
	}
}

func (r *Refresh) removeOrphan(dir string) error {
	c, err := lockLeftover(dir, r.main)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.checkContents(dir); err != nil {
		return err
	}
	return part{path: dir, root: c.root}.remove()
}

// has reports whether a directory is one of the new backup's.
func (r *Refresh) has(dir string) bool {
	return slices.ContainsFunc(r.order, func(p *claimed) bool { return p.path == dir })
}
