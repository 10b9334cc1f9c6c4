package client

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// contents is what goes into a manifest: the files of the backup in the order of
// their paths, so that it does not depend on which worker was faster.
type contents struct {
	listing *output.Listing
	extra   []output.File // backup_label, and of pg_wal what a manifest names
}

// each calls add for each file that is there.
func (c contents) each(add func(*output.File) error) error {
	extra := append([]output.File{c.listing.Control}, c.extra...)
	slices.SortFunc(extra, func(a, b output.File) int { return cmp.Compare(a.Path, b.Path) })
	for _, i := range c.listing.ByPath {
		f := c.listing.Files.At(i)
		for len(extra) > 0 && extra[0].Path < f.Path {
			if err := add(&extra[0]); err != nil {
				return err
			}
			extra = extra[1:]
		}
		if f.Gone {
			continue
		}
		if err := add(f); err != nil {
			return err
		}
	}
	for i := range extra {
		if err := add(&extra[i]); err != nil {
			return err
		}
	}
	return nil
}

// manifestTo writes the manifest.
func (b *backup) manifestTo(w io.Writer) error {
	ranges, err := b.walRanges()
	if err != nil {
		return err
	}
	o := manifest.Options{
		Version: 1, Major: b.cluster.versionNum / 10000, SystemID: b.cluster.system.SystemID, ForceEncode: b.Manifest.ForceEncode,
	}
	if b.cluster.versionNum >= 170000 {
		o.Version = 2
	}
	m := manifest.NewWriter(w, o)
	err = contents{b.listing, b.extra}.each(func(f *output.File) error {
		return m.AddFile(manifest.File{
			Path: f.Path, Size: f.Size, ModTime: time.Unix(f.ModTime, 0), Algorithm: b.Manifest.Checksums, Checksum: []byte(f.Checksum),
		})
	})
	if err != nil {
		return err
	}
	return m.Close(ranges...)
}
