package datatree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

var _ output.Refresher = (*Refresh)(nil)

// besideSuffix is behind the name of a data directory for the one in which its next state is
// made.
const besideSuffix = ".pgparallel-refresh"

// Refresh is a Tree that begins with what an earlier backup has left. There are three:
//
//   - The directory holds a finished backup. The Tree is a directory beside it, filled with
//     files that are shared with the old one, and takes its place at the very end
//     ([Refresh.Release]). Until then the old backup is what it was. Directories of tablespaces
//     and of WAL are others than the old one's; see part.
//   - With inPlace it is the directory itself, from whose first change on the old backup is
//     none any more: pg_control is held before anything else is touched.
//   - The directory holds an unfinished backup: nothing is there to be lost, and the
//     Tree is that directory.
//
// An empty or absent directory is an ordinary Tree. All that is known of an unfinished state is
// that it is one: its one file, the marker, says so, and every byte beside it is compared with the
// server's before it is believed. So a Refresh can be killed anywhere, and be taken up.
type Refresh struct {
	*Tree
	place    string    // the data directory as the user finds it, links resolved
	old      *finished // the backup that is to be replaced; nil: none, or in place
	began    bool      // something of the earlier content was changed
	released bool      // the Tree is a finished backup
	removed  atomic.Int64
	noClone  atomic.Bool // the file system shares no blocks
	earlier  bool        // there is something of another backup
	systemID uint64      // of the cluster that it is of; 0: that is not known
	times    map[string]int64
	exchange func(from, to string) error // lets two directories change places
}

// NewRefresh looks at what the directories of c hold, and changes nothing on disk but to
// complete a release, or a switch, that was interrupted at its end.
func NewRefresh(c Config, inPlace bool) (*Refresh, error) {
	r := &Refresh{place: c.Dir, exchange: exchange}
	if real, err := filepath.EvalSymlinks(c.Dir); err == nil {
		r.place = real
	}
	if err := completeSwitch(r.place, c.DryRun); err != nil {
		return nil, err
	}
	c.Force = false
	r.Tree = &Tree{Config: c, openDirectories: 1, spaces: map[uint32]*claimed{}, keep: true}
	if err := checkOutside(c.Dir); err != nil {
		return nil, err
	}
	if err := r.look(inPlace); err != nil {
		r.Close()
		return nil, err
	}
	if c.WALDir == "" {
		return r, nil
	}
	return r, r.checkVacant(c.WALDir)
}

// look finds out what there is.
func (r *Refresh) look(inPlace bool) error {
	vacant := checkVacant(r.Dir, nil)
	if vacant == nil || inPlace || errors.Is(vacant, ErrUnfinished) {
		r.tellOfBeside()
	}
	switch {
	case vacant == nil:
		return nil
	case errors.Is(vacant, ErrUnfinished):
		r.earlier, r.systemID = true, systemOfLeftover(r.Dir)
		return checkNoArchives(r.Dir)
	case exists(r.Dir, output.ControlFileHeld) && !exists(r.Dir, output.ControlFile):
		return vacant // an unfinished one, with something that no backup has written
	}
	old, err := openFinished(r.place, r.DryRun)
	if err != nil {
		return err
	}
	r.earlier, r.systemID, r.times = true, systemOf(old.content), map[string]int64{}
	for _, f := range old.manifest.Files {
		if !f.ModTime.IsZero() {
			r.times[f.Path] = f.ModTime.Unix()
		}
	}
	if inPlace {
		r.finished = old
		return r.checkWALLink()
	}
	r.old = old
	return r.beside()
}

// tellOfBeside tells of a directory beside this one that is not used.
func (r *Refresh) tellOfBeside() {
	if beside := r.place + besideSuffix; exists(beside, ".") {
		r.Log.Warning("directory %q is none of this backup, and stays as it is: a refresh may have left it that was interrupted", beside)
	}
}

// checkNoArchives makes sure that an unfinished backup is one in plain format.
func checkNoArchives(dir string) error {
	for _, held := range heldFiles {
		if _, err := os.Lstat(filepath.Join(dir, held)); held != output.ControlFileHeld && err == nil {
			return fmt.Errorf("the unfinished backup in directory %q is one in tar format, which cannot be taken up", dir)
		}
	}
	return nil
}

// checkWALLink makes sure that the WAL goes where the old backup has it, or into the data
// directory.
func (r *Refresh) checkWALLink() error {
	to, err := r.finished.root.Readlink(output.WALFolder)
	if err == nil && to != r.WALDir {
		return fmt.Errorf("the backup in directory %q has its WAL in %q: name that as its WAL directory again", r.Dir, to)
	}
	return nil
}

// beside makes the Tree a directory beside the old backup.
func (r *Refresh) beside() error {
	if err := checkSwitchable(r.place); err != nil {
		return err
	}
	if err := r.old.openParts(); err != nil {
		return err
	}
	if r.WALDir != "" {
		if err := r.old.checkApart(r.WALDir); err != nil {
			return err
		}
	}
	r.Dir = r.place + besideSuffix
	err := checkVacant(r.Dir, nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnfinished):
		if id := systemOfLeftover(r.Dir); id != 0 {
			err = r.checkBeside(id)
		} else {
			err = nil
		}
		return errors.Join(err, checkNoArchives(r.Dir))
	}
	// Killed next to the switch, ahead of it or behind it. The files serve as well.
	if r.finished, err = openFinished(r.Dir, r.DryRun); err != nil {
		return err
	}
	if err := r.checkBeside(systemOf(r.finished.content)); err != nil {
		return err
	}
	return r.finished.openParts()
}

// checkBeside makes sure that what is beside the old backup is of the same cluster: a refresh has left
// it, then, and not somebody who has put another backup there.
func (r *Refresh) checkBeside(id uint64) error {
	if id == r.systemID {
		return nil
	}
	return fmt.Errorf("directory %q, in which the new backup would be made, holds one of another cluster: its system identifier is %d, that of the backup in directory %q is %d; move it elsewhere",
		r.Dir, id, r.place, r.systemID)
}

// needsInPlace is why a backup cannot be made beside the old one.
func needsInPlace(path, why string) error {
	return fmt.Errorf("the backup in directory %q %s, and %w", path, why, ErrNeedsInPlace)
}

// ErrNeedsInPlace is wrapped in errors about a backup that can only be refreshed in place.
var ErrNeedsInPlace = errors.New("can only be refreshed in place")

// systemOfLeftover is the system identifier of the cluster of an unfinished backup: its marker
// has it, and its pg_control, which is fetched last; 0: neither.
func systemOfLeftover(dir string) uint64 {
	c, err := lockLeftover(dir, nil)
	if err != nil {
		return 0 // who is to change it will say so
	}
	defer c.close()
	if c.systemID != 0 {
		return c.systemID
	}
	content, err := c.root.ReadFile(output.ControlFileHeld)
	if err != nil {
		return 0
	}
	return systemOf(content)
}

// systemOf is the system identifier in pg_control; 0 where it is of a version that is not known.
func systemOf(content []byte) uint64 {
	control, err := controlfile.Decode(content)
	if err != nil {
		return 0
	}
	return control.SystemID
}

// SystemID is the system identifier of the cluster that the earlier backup is of.
func (r *Refresh) SystemID() (id uint64, exists bool) { return r.systemID, r.earlier }

// Time is the time of a file by the earlier manifest.
func (r *Refresh) Time(path string) (int64, bool) {
	t, known := r.times[path]
	return t, known
}

// Removed is how many files and links of the earlier backup the new one does not have.
func (r *Refresh) Removed() int64 { return r.removed.Load() }

// Locate refuses directories that the old backup has until the new one takes its place.
func (r *Refresh) Locate(spaces []output.Tablespace) (map[uint32]output.Target, error) {
	for _, space := range spaces {
		if r.old == nil {
			break
		}
		if err := r.old.checkApart(space.Location); err != nil {
			return nil, err
		}
	}
	targets, err := r.Tree.Locate(spaces)
	if err == nil && r.old != nil {
		targets[0] = output.Target{Path: r.place}
	}
	return targets, err
}

// Claim makes the directories this backup's. What they hold stays as it is.
func (r *Refresh) Claim(ctx context.Context, of output.Cluster, openDirectories int) error {
	if err := r.Tree.Claim(ctx, of, openDirectories); err != nil {
		return err
	}
	if err := r.takeMode(); err != nil {
		return err
	}
	return r.syncEarlier()
}

// takeMode gives the directory beside the old backup the mode of that.
func (r *Refresh) takeMode() error {
	if r.old == nil {
		return nil
	}
	info, err := r.old.root.Stat(".")
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", r.place, output.Cause(err))
	}
	if perm := info.Mode().Perm(); perm == 0o700 || perm == 0o750 {
		if err := r.main.root.Chmod(".", perm); err != nil {
			return fmt.Errorf("could not change permissions of directory %q: %w", r.Dir, output.Cause(err))
		}
	}
	return nil
}

// WALSink makes room for the WAL that comes first.
func (r *Refresh) WALSink() (output.Sink, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	return r.Tree.WALSink()
}

// LayOut removes what the server has not listed.
func (r *Refresh) LayOut(l *output.Listing) error {
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.prune(l); err != nil {
		return err
	}
	if r.old != nil {
		r.old.eachLacking(l, func(listed manifest.File) {
			r.removed.Add(1)
			r.Log.Verbose("%q is not on the server, and not in the new backup", listed.Path)
		})
	}
	return r.Tree.LayOut(l)
}

// eachLacking tells the files of the backup that the server has not listed; those that every
// backup makes for itself do not count.
func (f *finished) eachLacking(l *output.Listing, each func(manifest.File)) {
	for _, listed := range f.manifest.Files {
		switch {
		case listed.Path == output.ControlFile, listed.Path == output.LabelFile, strings.HasPrefix(listed.Path, output.WALFolder+"/"):
		case !l.Has(listed.Path):
			each(listed)
		}
	}
}

// begin makes the first changes: a finished backup is none any more, pg_control first of all
// (§5.6), and its WAL, which is of the old start, goes.
func (r *Refresh) begin() error {
	if r.began {
		return nil
	}
	r.began = true
	if !r.main.kept {
		return nil
	}
	if r.finished != nil {
		if err := r.markOrphans(); err != nil {
			return err
		}
		if err := r.unfinish(); err != nil {
			return err
		}
		r.main.adopted = true
	}
	r.removeOrphans()
	if r.wal != nil && r.wal.kept {
		if err := r.wal.clear(); err != nil {
			return err
		}
	}
	if err := r.main.root.RemoveAll(output.WALFolder); err != nil {
		return fmt.Errorf("could not remove directory %q: %w", output.WALFolder, output.Cause(err))
	}
	return nil
}

// unfinish makes a finished backup an unfinished one. A held file is as good as a marker (see
// ReleaseHeld), so each step leaves one or the other.
func (r *Refresh) unfinish() error {
	if err := r.Rename(output.ControlFile, output.ControlFileHeld, !r.NoSync); err != nil {
		return err
	}
	held := r.main.marker
	defer held.Close()
	if err := r.main.replaceMarker(r.main.root, !r.NoSync); err != nil {
		return err
	}
	if !r.NoSync {
		if err := r.main.syncNames(); err != nil {
			return err
		}
	}
	return r.Remove(output.ManifestFile)
}

// Undo leaves what was there before: an unfinished backup unfinished, and one beside which
// another was begun as it was.
func (r *Refresh) Undo() {
	defer func() {
		if r.old != nil {
			r.old.close()
		}
		if r.finished != nil {
			r.finished.closeParts()
		}
	}()
	switch {
	case r.released:
	case r.main == nil:
		if r.finished != nil {
			r.finished.close()
		}
	case r.main.kept:
		if r.finished != nil && !r.began {
			r.giveBack()
		} else {
			r.Log.Info("directory %q holds an unfinished backup, which can be taken up", r.Dir)
		}
		r.close()
	default:
		r.Tree.Undo()
	}
}

// giveBack takes the markers out of the directories of a finished backup that was not changed.
func (r *Refresh) giveBack() {
	for _, p := range r.order {
		if p.owner == nil || !p.kept {
			continue
		}
		if err := p.root.Remove(output.MarkerFile); err != nil && !isAbsent(err) {
			r.Log.Warning("could not remove file %q: %v", filepath.Join(p.path, output.MarkerFile), output.Cause(err))
		}
	}
}

// takeFinished makes the directory of a finished backup this backup's, and changes nothing.
func (p *claimed) takeFinished(f *finished) error {
	p.root, p.marker, p.kept, p.listed = f.root, f.control, true, f.listed
	return nil
}

// takePart makes the directory of a tablespace, or of WAL, of a finished backup this
// backup's. Its marker is void as long as that backup is finished.
func (p *claimed) takePart(f *finished, link string, sync bool) error {
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", p.path, output.Cause(err))
	}
	c := &leftover{root: root, part: true, listed: f.contents(link + "/"), has: f.files(link + "/")}
	if err = c.checkContents(p.path); err == nil {
		if err = root.Remove(output.MarkerFile); isAbsent(err) {
			err = nil
		}
	}
	if err == nil {
		p.listed = c.listed
		err = p.createMarker(root, output.MarkerFile, sync)
	}
	if err != nil {
		root.Close()
		return err
	}
	p.root, p.kept = root, true
	return nil
}

// warnOfOrphans warns of each directory that nothing of the new backup leads to.
func (r *Refresh) warnOfOrphans() {
	if r.finished == nil || r.old != nil {
		return
	}
	for _, link := range r.finished.links() {
		to, err := r.finished.root.Readlink(link)
		if err != nil {
			continue
		}
		if !r.has(to) {
			r.Log.Warning("directory %q was that of tablespace %s, which %s: it stays as it is", to, protocol.Shorten(filepath.Base(link), 32), r.whereIsNow(link))
		}
	}
}

// whereIsNow says where the new backup has the tablespace that a link of the old one led to.
func (r *Refresh) whereIsNow(link string) string {
	oid, _, _ := output.SplitTablespacePath(link)
	if p := r.spaces[oid]; p != nil {
		return fmt.Sprintf("is in %q now", p.path)
	}
	return "is not in the new backup"
}

// takenUp says of an unfinished backup that a refresh can go on with it, where it can.
func takenUp(dir string) string {
	if checkNoArchives(dir) != nil {
		return ""
	}
	return "; it can be taken up by a refresh"
}
