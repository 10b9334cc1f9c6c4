package datatree

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// Release makes the data directory a backup that can be used.
func (t *Tree) Release(m output.Manifest, step func(name string) error) error {
	return t.ReleaseHeld(nil, output.ControlFile, m, step)
}

// ReleaseHeld takes the steps by which a backup that is whole becomes one that is on disk and
// can be used. It can be used from one moment on, the renaming of the file that is held:
// global/pg_control, or base.tar in tar format. held is the last name of that file;
// publish are those of the other archives. This is what a directory is when the process is
// killed, or the power fails, behind each step; "others" are the directories of the
// tablespaces and of WAL:
//
//	behind                   marker   held   others   PostgreSQL   --force
//	the steps before         yes      yes    yes      refuses      removes all
//	1 write manifest         yes      yes    yes      refuses      removes all
//	2 sync                   yes      yes    yes      refuses      removes all
//	3 publish archives       yes      yes    -        -            removes all
//	4 remove marker          no       yes    yes      refuses      removes all
//	5 release control file   no       no     void     starts       refuses
//	6 remove other markers   no       no     no       starts       refuses
//	7 name manifest          no       no     no       starts       refuses
//
// A held file is as good as the marker, and as well locked. The markers of others are
// void without one in the data directory that they name: so they can go last, and
// --force never meets a directory that nothing is known of. The manifest has all its
// content before anything is released, and its name last (§5.6). Without a manifest the marker keeps its
// content under another name from step 4 to 7. Ahead of the sync, which
// goes by paths, of the release and of the last name, each directory is where it was claimed.
//
// ReleaseHeld calls step with the name of each step before it takes the step, and ends with
// the error of step. After the last step the Tree is closed.
func (t *Tree) ReleaseHeld(publish []string, held string, m output.Manifest, step func(name string) error) error {
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"write manifest", func() error { return t.writeManifest(m) }},
		{"sync", t.syncInPlace},
		{"publish archives", func() error { return t.publish(publish) }},
		{"remove marker", func() error { return t.removeMarker(held+output.IncompleteSuffix, m == nil) }},
		{"release control file", func() error { return t.releaseControlFile(held) }},
		{"remove other markers", t.removeOtherMarkers},
		{"name manifest", func() error { return t.nameManifest(m) }},
	} {
		if err := step(s.name); err != nil {
			return err
		}
		if err := s.do(); err != nil {
			return err
		}
	}
	t.close()
	return nil
}

// writeManifest writes backup_manifest under its temporary name.
func (t *Tree) writeManifest(m output.Manifest) error {
	if m == nil {
		return nil
	}
	f, err := t.Create(output.ManifestFileTmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if err = m(f); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("could not write file %q: %w", output.ManifestFileTmp, output.Cause(err))
	}
	return nil
}

func (t *Tree) syncInPlace() error {
	if err := t.checkInPlace(); err != nil {
		return err
	}
	return t.syncAll()
}

// publish gives archives their names.
func (t *Tree) publish(names []string) error {
	for _, name := range names {
		if err := t.Rename(name+output.IncompleteSuffix, name, false); err != nil {
			return err
		}
	}
	return nil // the next step synchronizes the directory
}

// removeMarker removes the marker of the data directory. It hands its lock over to the
// file that is held. With keepText what the marker says stays under a name that makes it none, until
// the last step: where there will be no manifest, nothing else tells a file of the backup from
// somebody's.
func (t *Tree) removeMarker(held string, keepText bool) error {
	file, err := t.main.root.OpenFile(held, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", held, output.Cause(err))
	}
	_ = flock(file) // see createMarker
	t.main.unlock()
	t.main.marker = file
	if keepText {
		return t.Rename(output.MarkerFile, formerMarker, !t.NoSync)
	}
	return t.main.removeMarker(!t.NoSync)
}

// releaseControlFile gives the file that is held its name.
func (t *Tree) releaseControlFile(held string) error {
	if err := t.checkInPlace(); err != nil {
		return err
	}
	return t.Rename(held+output.IncompleteSuffix, held, !t.NoSync)
}

func (t *Tree) removeOtherMarkers() error {
	for _, p := range t.order {
		if p.owner == nil {
			continue
		}
		if err := p.removeMarker(!t.NoSync); err != nil {
			return err
		}
	}
	return nil
}

func (p *claimed) removeMarker(sync bool) error {
	if err := p.root.Remove(output.MarkerFile); err != nil {
		return fmt.Errorf("could not remove file %q: %w", filepath.Join(p.path, output.MarkerFile), output.Cause(err))
	}
	if !sync {
		return nil
	}
	return p.syncNames()
}

func (t *Tree) nameManifest(m output.Manifest) error {
	// Once more: a directory that was moved meanwhile must not hold what looks finished.
	if err := t.checkInPlace(); err != nil {
		return err
	}
	if m == nil {
		return t.Remove(formerMarker)
	}
	t.Log.Verbose("renaming %s to %s", output.ManifestFileTmp, output.ManifestFile)
	return t.Rename(output.ManifestFileTmp, output.ManifestFile, !t.NoSync)
}
