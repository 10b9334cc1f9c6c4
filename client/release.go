package client

import (
	"context"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

func (b *backup) writeLabel(context.Context) error {
	recovery, modTime := b.stopped.Label != "", b.listing.Control.ModTime
	spaces, err := b.out.TablespaceMap(recovery)
	if err != nil {
		return err
	}
	if len(spaces) > 0 {
		if err := b.writeOwn(output.TablespaceMapFile, spaces, modTime); err != nil {
			return err
		}
	}
	if !recovery {
		return nil // a label that the client made up would keep the copy from starting (§4.1)
	}
	return b.writeOwn(output.LabelFile, []byte(b.stopped.Label), modTime)
}

// writeOwn writes a file of the client's own that the manifest names.
func (b *backup) writeOwn(path string, content []byte, modTime int64) error {
	if err := b.out.WriteFile(path, content, modTime); err != nil {
		return err
	}
	b.extra = append(b.extra, output.OwnFile(path, content, modTime, b.Manifest.Checksums))
	return nil
}

// release makes what was copied a backup that can be used, in the order of §5.6.
func (b *backup) release(ctx context.Context) error {
	manifest := b.manifestTo
	if b.Manifest.Omit {
		manifest = nil
	}
	return b.out.Release(manifest, func(step string) error { return b.begin(ctx, step) })
}
