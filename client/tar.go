package client

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// createArchives is createTarget in tar format. Where the tablespaces will be is of no
// interest here: they are not created.
func (b *backup) createArchives(ctx context.Context) error {
	_, err := b.locations()
	if err == nil && b.output() == nil {
		b.target, err = newTarget(b.Dir, b.occupation())
	}
	if err != nil {
		return err
	}
	appendOnly := false
	if b.target != nil {
		anywhere, err := b.target.probe()
		if err != nil {
			return err
		}
		appendOnly = !anywhere
	}
	b.archives = newArchives(b.target, b.output(), b.cluster.directoryMode, b.compression())
	b.archives.appendOnly = appendOnly
	b.archives.interruptible(ctx)
	b.archives.hold(output.ControlFileHeld)
	if b.WriteRecoveryConf {
		b.archives.hold(output.AutoConfFile)
	}
	return nil
}

// interruptible makes the end of ctx end a write to output as well, on which nobody
// may be reading, if output knows deadlines.
func (a *archives) interruptible(ctx context.Context) {
	a.uninterrupt = func() bool { return true }
	if out, ok := a.output.(interface{ SetWriteDeadline(time.Time) error }); ok {
		a.uninterrupt = context.AfterFunc(ctx, func() {
			out.SetWriteDeadline(time.Unix(1, 0)) // one that knows none cannot be helped
		})
	}
}

// newSink is where a worker puts what it receives.
func (b *backup) newSink() output.Sink {
	if b.archives != nil {
		return b.archives.newSink()
	}
	return &folders{target: b.target}
}

// writeFile writes a small file of the client's own.
func (b *backup) writeFile(path string, content []byte, modTime int64) error {
	if b.archives != nil {
		return b.archives.addFile(path, content, modTime)
	}
	return b.target.write(path, content)
}

// ensureDirectory creates a directory that may not have been listed.
func (b *backup) ensureDirectory(path string) error {
	if b.archives != nil {
		return b.archives.ensureDirectory(path, b.listing.Control.ModTime)
	}
	return b.target.ensureDirectory(path)
}

// archiveLinks says in base.tar where the tablespaces are to be: in tablespace_map,
// which PostgreSQL reads with a label only, else by links.
func (b *backup) archiveLinks() error {
	slices.Sort(b.listing.Links)
	var lines []byte
	modTime := b.listing.Control.ModTime
	for _, t := range b.tablespaces {
		if !slices.Contains(b.listing.Links, t.OID) {
			continue
		}
		location, _, err := b.locationOf(t)
		if err != nil {
			return err
		}
		if b.stopped.Label != "" {
			lines = append(lines, tablespaceMapLine(t.OID, location)...)
			continue
		}
		if err := b.archives.addLink(fmt.Sprintf("pg_tblspc/%d", t.OID), location, modTime); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	b.extra = append(b.extra, output.OwnFile(output.TablespaceMapFile, lines, modTime, b.Manifest.Checksums))
	return b.archives.addFile(output.TablespaceMapFile, lines, modTime)
}

// finishArchives adds the control file, and with nobody else to take it the manifest,
// and ends the archives.
func (b *backup) finishArchives(context.Context) error {
	if b.archives == nil {
		return nil
	}
	if err := b.archives.release(output.ControlFileHeld, output.ControlFile, b.listing.Control.ModTime); err != nil {
		return err
	}
	if b.output() != nil && !b.Manifest.Omit {
		if err := b.archiveManifest(); err != nil {
			return err
		}
	}
	return b.archives.finish()
}

// archiveManifest adds the manifest. It is written twice, for the first thing that an
// archive wants to know is its size.
func (b *backup) archiveManifest() error {
	var size counter
	if err := b.manifestTo(&size); err != nil {
		return err
	}
	h := tarHeader{name: output.ManifestFile, kind: tarRegular, size: int64(size), mode: b.archives.fileMode, modTime: time.Now().Unix()}
	e, err := newTarEntry(b.archives.base, b.archives.own.batches, h)
	if err != nil {
		return err
	}
	if err = b.manifestTo(entryWriter{e}); err == nil {
		err = e.Finish(io.Discard)
	}
	if err != nil {
		e.Discard() // why it is not there is what there is to tell
	}
	return err
}

// counter counts what is written to it.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// entryWriter writes to a file whose size is known.
type entryWriter struct{ output.Entry }

// Write implements io.Writer.
func (w entryWriter) Write(p []byte) (int, error) {
	kept, err := w.Add(p)
	if err == nil && len(kept) < len(p) {
		err = io.ErrShortWrite
	}
	return len(kept), err
}
