package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// release is the steps by which a backup that is whole and on disk becomes one that can
// be used. There is one moment in which it does, the renaming of the file that is held:
// global/pg_control, or base.tar in tar format. This is what a directory is when the
// process is killed, or the power fails, behind each step; "others" are the directories
// of the tablespaces and of WAL:
//
//	behind                   marker   held   others   PostgreSQL   --force
//	the steps before         yes      yes    yes      refuses      removes all
//	1 publish archives       yes      yes    -        -            removes all
//	2 remove marker          no       yes    yes      refuses      removes all
//	3 release control file   no       no     void     starts       refuses
//	4 remove other markers   no       no     no       starts       refuses
//	5 name manifest          no       no     no       starts       refuses
//
// A held file is as good as the marker, and as well locked. The markers of others are
// void without one in the data directory that they name: so they can go last, and
// --force never meets a directory that nothing is known of. The manifest has all its
// content ahead of all this, and its name last (§5.6).
func (b *backup) release() []step {
	return []step{
		{"publish archives", b.publishArchives},
		{"remove marker", b.removeMarker},
		{"release control file", b.releaseHeld},
		{"remove other markers", b.removeOtherMarkers},
		{"name manifest", b.nameManifest},
	}
}

// publishArchives gives all archives but that of the data directory their names.
func (b *backup) publishArchives(context.Context) error {
	if b.target == nil || b.archives == nil {
		return nil
	}
	for _, name := range b.archives.names[1:] {
		if err := b.target.rename(name+output.IncompleteSuffix, name, false); err != nil {
			return err
		}
	}
	return nil // step 2 synchronizes the directory
}

// held is the file by whose last name the backup can be used.
func (b *backup) held() string {
	if b.archives != nil {
		return b.archives.names[0] + output.IncompleteSuffix
	}
	return output.ControlFileHeld
}

// removeMarker removes the marker of the data directory. It hands its lock over to the
// file that is held.
func (b *backup) removeMarker(context.Context) error {
	if b.target == nil {
		return nil
	}
	main := b.target.main
	if held, err := main.root.OpenFile(b.held(), os.O_RDWR, 0); err == nil {
		flock(held) //nolint:errcheck // see createMarker
		main.unlock()
		main.marker = held
	} else {
		return fmt.Errorf("could not open file %q: %w", b.held(), output.Cause(err))
	}
	return main.removeMarker(!b.NoSync)
}

func (b *backup) releaseHeld(context.Context) error {
	if b.target == nil {
		return nil
	}
	return b.target.rename(b.held(), strings.TrimSuffix(b.held(), output.IncompleteSuffix), !b.NoSync)
}

func (b *backup) removeOtherMarkers(context.Context) error {
	for _, p := range b.target.places() {
		if p.owner == nil {
			continue
		}
		if err := p.removeMarker(!b.NoSync); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) removeMarker(sync bool) error {
	if err := p.root.Remove(output.MarkerFile); err != nil {
		return fmt.Errorf("could not remove file %q: %w", filepath.Join(p.path, output.MarkerFile), output.Cause(err))
	}
	if !sync {
		return nil
	}
	return p.syncNames()
}

func (b *backup) nameManifest(context.Context) error {
	if b.Manifest.Omit || b.target == nil { // see finishArchives
		return nil
	}
	b.events.tell(LevelVerbose, "renaming %s to %s", output.ManifestFileTmp, output.ManifestFile)
	return b.target.rename(output.ManifestFileTmp, output.ManifestFile, !b.NoSync)
}
