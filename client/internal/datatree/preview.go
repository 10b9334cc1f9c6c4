package datatree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// Preview opens, for Earlier and EachRemoved, what Claim would take. It creates nothing, and leaves
// no marker: [Refresh.Close] is all that is to be done behind it.
func (r *Refresh) Preview() error {
	if r.finished != nil && r.old == nil {
		if err := r.finished.openParts(); err != nil { // what Claim would refuse
			return err
		}
	}
	main, err := peek(r.Dir)
	if err != nil || main == nil {
		return err
	}
	r.main, r.order = main, []*claimed{main}
	for _, space := range r.located {
		p, err := peek(space.Location)
		if err != nil {
			return err
		}
		if p != nil {
			r.spaces[space.OID], r.order = p, append(r.order, p)
		}
	}
	return nil
}

// peek opens a directory; nil: there is none.
func peek(path string) (*claimed, error) {
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("could not open directory %q: %w", path, output.Cause(err))
	}
	return &claimed{path: path, root: root, kept: true}, nil
}

// EachRemoved tells what the new backup will not have of the earlier one, with its size.
func (r *Refresh) EachRemoved(l *output.Listing, each func(path string, bytes int64)) error {
	if r.old != nil {
		r.old.eachLacking(l, func(listed manifest.File) { each(listed.Path, listed.Size) })
		return nil
	}
	if r.main == nil {
		return nil
	}
	return r.eachUnlisted(l, func(p pruning, root *os.Root, name, inBackup string, e fs.DirEntry) error {
		if p.isMadeAnew(inBackup, e) {
			return nil
		}
		bytes := int64(0)
		err := fs.WalkDir(root.FS(), name, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				bytes += info.Size()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("could not read %q: %w", inBackup, output.Cause(err))
		}
		each(inBackup, bytes)
		return nil
	})
}

// Beside is the directory beside the old backup in which the new one is made; empty: it is made where
// the earlier one is.
func (r *Refresh) Beside() string {
	if r.old == nil {
		return ""
	}
	return r.Dir
}

// Close lets go of what NewRefresh and Preview have opened.
func (r *Refresh) Close() {
	for _, p := range r.order {
		p.close()
	}
	for _, f := range []*finished{r.finished, r.old} {
		if f != nil {
			f.close()
		}
	}
}
