package datatree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// asideSuffix is behind the name of the old backup for the moment in which the two change
// places, where that cannot be done at once.
const asideSuffix = besideSuffix + ".old"

// Release makes the Tree a backup that can be used, and where it lies beside the old one, puts
// it into the old one's place:
//
//	behind                   the directory holds    beside it there is
//	the steps of Tree        the old backup         the new backup, finished
//	switch                   the new backup         the old backup, held, its parts marked
//	remove old backup        the new backup         -
//
// A refresh that is killed leaves what stands beside to the next one, which takes it for a
// place where files lie that may be worth keeping, whichever of the two it is.
func (r *Refresh) Release(m output.Manifest, step func(name string) error) error {
	if r.old != nil {
		if err := r.old.checkNotStarted(); err != nil {
			return err
		}
	}
	if err := r.Tree.Release(m, step); err != nil {
		return err
	}
	r.released = true
	if r.old == nil {
		return nil
	}
	if err := step("switch"); err != nil {
		return r.notSwitched(err)
	}
	if err := r.switchOver(); err != nil {
		return r.notSwitched(err)
	}
	if err := step("remove old backup"); err != nil {
		return err
	}
	r.removeOld()
	return nil
}

func (r *Refresh) notSwitched(err error) error {
	return fmt.Errorf("the new backup is whole, in directory %q, but does not take the place of the old one: %w", r.Dir, err)
}

// switchOver lets the two directories change places. A server that was started in the old one
// meanwhile has written into files that both have. So the old one is looked at again when no
// server can be started from it any more, and where one was, all is as before, and the new one
// unfinished.
func (r *Refresh) switchOver() error {
	if err := r.old.checkNotStarted(); err != nil {
		return errors.Join(err, r.spoil(r.Dir))
	}
	if err := r.exchange(r.Dir, r.place); err != nil {
		return fmt.Errorf("could not exchange directories %q and %q: %w", r.Dir, r.place, output.Cause(err))
	}
	if err := r.retire(); err != nil {
		return errors.Join(err, r.old.unmarkParts(), r.exchange(r.Dir, r.place), r.spoil(r.Dir))
	}
	if r.NoSync {
		return nil
	}
	if err := syncDirectory(filepath.Dir(r.place)); err != nil {
		return fmt.Errorf("could not synchronize the parent of directory %q to disk: %w", r.place, output.Cause(err))
	}
	return nil
}

// retire makes the old backup, which has left its place, one that no server can be started from, and
// looks whether one was.
func (r *Refresh) retire() error {
	if err := r.old.markParts(r.old.parts, r.Dir, !r.NoSync); err != nil {
		return err
	}
	if err := r.old.root.Rename(output.ControlFile, output.ControlFileHeld); err != nil {
		return fmt.Errorf("could not rename file %q: %w", output.ControlFileHeld, output.Cause(err))
	}
	if name := r.old.startedFile(); name != "" {
		err := fmt.Errorf("directory %q is no backup any more: %w (there is %q in it)", r.place, ErrStarted, name)
		return errors.Join(err, r.old.root.Rename(output.ControlFileHeld, output.ControlFile))
	}
	return nil
}

// spoil makes a finished backup unfinished: what it holds is not certain any more.
func (r *Refresh) spoil(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", dir, output.Cause(err))
	}
	p := &claimed{path: dir, root: root}
	defer p.close()
	if p.listed, err = namesIn(root, dir); err != nil {
		return err
	}
	return p.hold()
}

// removeOld removes the old backup, whose pg_control is held. The new one is in its place, so that
// nothing is lost where this fails.
func (r *Refresh) removeOld() {
	r.old.removeParts(r.Log)
	r.old.closeParts()
	p := &claimed{path: r.Dir, root: r.old.root, marker: r.old.control, listed: r.old.listed}
	r.old = nil
	err := p.empty()
	p.close()
	if err == nil {
		err = os.Remove(r.Dir)
	}
	if err != nil {
		r.Log.Warning("could not remove the old backup in directory %q: %v", r.Dir, output.Cause(err))
	}
}

// exchange lets two directories beside each other change places: at once where the system can do
// that.
func exchange(from, to string) error {
	err := exchangeAtOnce(from, to)
	if errors.Is(err, errors.ErrUnsupported) {
		return exchangeInSteps(from, to, os.Rename)
	}
	return err
}

// exchangeInSteps has a moment without the second directory; see completeSwitch. After an error
// both are where they were.
func exchangeInSteps(from, to string, rename func(from, to string) error) error {
	aside := strings.TrimSuffix(from, besideSuffix) + asideSuffix
	if err := rename(to, aside); err != nil {
		return err
	}
	if err := rename(from, to); err != nil {
		return errors.Join(err, rename(aside, to))
	}
	if err := rename(aside, from); err != nil {
		return errors.Join(err, rename(to, from), rename(aside, to))
	}
	return nil
}

// completeSwitch ends a switch in which a refresh was killed, where the two directories could
// not be exchanged at once.
func completeSwitch(place string, dry bool) error {
	aside, beside := place+asideSuffix, place+besideSuffix
	if _, err := os.Lstat(aside); isAbsent(err) {
		return nil
	}
	if dry {
		return fmt.Errorf("a refresh of directory %q was interrupted in its last step, which the next refresh completes, and a dry run does not", place)
	}
	if _, err := os.Lstat(place); isAbsent(err) {
		if err := os.Rename(beside, place); err != nil {
			return fmt.Errorf("could not rename directory %q to %q: %w", beside, place, output.Cause(err))
		}
	}
	if err := os.Rename(aside, beside); err != nil {
		return fmt.Errorf("could not rename directory %q to %q: %w", aside, beside, output.Cause(err))
	}
	return nil
}

// checkSwitchable makes sure that a directory can be renamed.
func checkSwitchable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", path, output.Cause(err))
	}
	parent, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("could not access directory %q: %w", filepath.Dir(path), output.Cause(err))
	}
	if deviceOf(info) != deviceOf(parent) || isMountPoint(path) {
		return needsInPlace(path, "is a mount point of its own")
	}
	return nil
}
