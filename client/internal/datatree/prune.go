package datatree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// prune removes from the directories what the server has not listed, or not as what is there:
// of a finished backup its label, and what the rules of §4.5 leave out.
func (r *Refresh) prune(l *output.Listing) error {
	if !r.main.kept {
		return nil
	}
	r.warnOfOrphans()
	return r.eachUnlisted(l, pruning.remove)
}

// eachUnlisted calls do for all that is in the directories and was not listed.
func (r *Refresh) eachUnlisted(l *output.Listing, do func(p pruning, root *os.Root, name, inBackup string, e fs.DirEntry) error) error {
	directories := make(map[string]bool, len(l.Directories))
	for _, dir := range l.Directories {
		directories[dir] = true
	}
	p := pruning{refresh: r, listing: l, directories: directories, do: do}
	if err := p.walk(r.main.root, ".", ""); err != nil {
		return err
	}
	for oid, space := range r.spaces {
		if !space.kept {
			continue
		}
		if err := p.walk(space.root, ".", "pg_tblspc/"+strconv.FormatUint(uint64(oid), 10)); err != nil {
			return err
		}
	}
	return nil
}

type pruning struct {
	refresh     *Refresh
	listing     *output.Listing
	directories map[string]bool
	do          func(p pruning, root *os.Root, name, inBackup string, e fs.DirEntry) error
}

// walk goes through a directory of root, whose path in the backup is the prefix.
func (p pruning) walk(root *os.Root, dir, prefix string) error {
	d, err := root.Open(dir)
	if err != nil {
		return fmt.Errorf("could not open directory %q: %w", prefix, output.Cause(err))
	}
	entries, err := d.ReadDir(-1)
	d.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("could not read directory %q: %w", prefix, output.Cause(err))
	}
	for _, e := range entries {
		name, inBackup := path.Join(dir, e.Name()), path.Join(prefix, e.Name())
		switch {
		case name == output.MarkerFile, inBackup == output.WALFolder:
			continue // the one says what all this is, the other is emptied, and WAL may arrive
		case e.IsDir() && p.directories[inBackup]:
			err = p.walk(root, name, inBackup)
		case e.Type().IsRegular() && p.listing.Has(inBackup):
		default:
			err = p.do(p, root, name, inBackup, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove removes a file, a link, or a directory with all that it holds.
func (p pruning) remove(root *os.Root, name, inBackup string, e fs.DirEntry) error {
	if err := root.RemoveAll(name); err != nil {
		return fmt.Errorf("could not remove %q: %w", inBackup, output.Cause(err))
	}
	if !p.isMadeAnew(inBackup, e) {
		p.refresh.Log.Verbose("removed %q, which is not on the server", inBackup)
		p.refresh.removed.Add(1)
	}
	return nil
}

// isMadeAnew reports whether the new backup has its own of what is removed.
func (p pruning) isMadeAnew(inBackup string, e fs.DirEntry) bool {
	if oid, below, ok := output.SplitTablespacePath(inBackup); ok && below == "" && e.Type()&fs.ModeSymlink != 0 {
		return slices.Contains(p.listing.Links, oid)
	}
	return slices.Contains([]string{
		output.ControlFileHeld, output.ManifestFileTmp, output.LabelFile,
		output.ControlFile, output.ManifestFile, // still there in a dry run
	}, inBackup)
}
