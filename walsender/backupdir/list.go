package backupdir

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// Files lists what the backup has, as [datadir.Dir.Files] does, and holds it against the
// manifest: a file that is not in it, or has another size, is XX001 in its place, and one
// that is missing behind the last row.
func (b *Backup) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		h := b.newHolding()
		part := ""
		for f, err := range b.Dir.Files(ctx, tablespace, notice) {
			if err == nil {
				err = h.take(f)
			}
			if !yield(f, err) || err != nil {
				return
			}
			if tablespace != "" {
				part = partOf(f.Path + "/")
			}
		}
		if err := h.rest(func(f string) bool { return partOf(f) == part }); err != nil {
			yield(protocol.File{}, err)
		}
	}
}

// partOf is the OID of the tablespace in whose listing a path is; empty: in that of the data
// directory.
func partOf(name string) string {
	rest, within := strings.CutPrefix(name, "pg_tblspc/")
	oid, _, deeper := strings.Cut(rest, "/")
	if _, valid := protocol.ParseOID(oid); !within || !deeper || !valid {
		return ""
	}
	return oid
}

// holding holds files against the manifest. One goroutine uses it.
type holding struct {
	b    *Backup
	seen []bool // by index
}

func (b *Backup) newHolding() *holding { return &holding{b, make([]bool, len(b.contents.files))} }

// take takes a row of a listing.
func (h *holding) take(f protocol.File) error {
	if f.Type != protocol.TypeFile || ignored(f.Path) {
		return nil
	}
	i, found := h.b.contents.find(f.Path)
	if !found {
		return extra(f.Path)
	}
	h.seen[i] = true
	if listed := h.b.contents.files[i].Size; f.Size != listed {
		return otherSize(f.Path, f.Size, listed)
	}
	return nil
}

// rest looks for the files that no listing has shown, of those that are wanted. Some are
// never listed, as backup_label; they are there all the same, or the backup lacks them.
func (h *holding) rest(wanted func(name string) bool) error {
	for i, f := range h.b.contents.files {
		if h.seen[i] || ignored(f.Path) || !wanted(f.Path) {
			continue
		}
		size, err := h.b.Lookup(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return missing(f.Path)
		case err != nil:
			return ioError(err)
		case size != f.Size:
			return otherSize(f.Path, size, f.Size)
		}
	}
	return nil
}

// holdAll holds everything that the backup has against the manifest, by names and sizes.
func (b *Backup) holdAll(ctx context.Context) error {
	h := b.newHolding()
	tablespaces, err := b.Tablespaces(ctx, false)
	if err != nil {
		return err
	}
	for _, t := range tablespaces {
		name := ""
		if t.OID != 0 {
			name = t.Location
		}
		for f, err := range b.Dir.Files(ctx, name, func(*protocol.Error) {}) {
			if err != nil {
				return err
			}
			if err := h.take(f); err != nil {
				return err
			}
		}
	}
	return h.rest(func(string) bool { return true })
}
