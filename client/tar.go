package client

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// createArchives is createTarget in tar format. Where the tablespaces will be is of no
// interest here: they are not created.
func (b *backup) createArchives(ctx context.Context) error {
	_, err := b.locations()
	if err == nil && b.Output == nil {
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
	b.archives = newArchives(b.target, b.Output, b.cluster.directoryMode, b.Compression)
	b.archives.appendOnly = appendOnly
	b.archives.interruptible(ctx)
	b.archives.hold(controlFileHeld)
	if b.WriteRecoveryConf {
		b.archives.hold(autoConfFile)
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
func (b *backup) newSink() sink {
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
		return b.archives.ensureDirectory(path, b.listing.control.modTime)
	}
	return b.target.ensureDirectory(path)
}

// archiveLinks says in base.tar where the tablespaces are to be: in tablespace_map,
// which PostgreSQL reads with a label only, else by links.
func (b *backup) archiveLinks() error {
	slices.Sort(b.listing.links)
	var lines []byte
	modTime := b.listing.control.modTime
	for _, t := range b.tablespaces {
		if !slices.Contains(b.listing.links, t.OID) {
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
	b.extra = append(b.extra, summed(tablespaceMapFile, lines, modTime, b.ManifestChecksums))
	return b.archives.addFile(tablespaceMapFile, lines, modTime)
}

// finishArchives adds the control file, and with nobody else to take it the manifest,
// and ends the archives.
func (b *backup) finishArchives(context.Context) error {
	if b.archives == nil {
		return nil
	}
	if err := b.archives.release(controlFileHeld, controlFile, b.listing.control.modTime); err != nil {
		return err
	}
	if b.Output != nil && !b.NoManifest {
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
	h := tarHeader{name: manifestFile, kind: tarRegular, size: int64(size), mode: b.archives.fileMode, modTime: time.Now().Unix()}
	e, err := newTarEntry(b.archives.base, b.archives.own.batches, h)
	if err != nil {
		return err
	}
	if err = b.manifestTo(entryWriter{e}); err == nil {
		err = e.finish(io.Discard)
	}
	if err != nil {
		e.discard() // why it is not there is what there is to tell
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
type entryWriter struct{ entry }

// Write implements io.Writer.
func (w entryWriter) Write(p []byte) (int, error) {
	kept, err := w.write(p)
	if err == nil && len(kept) < len(p) {
		err = io.ErrShortWrite
	}
	return len(kept), err
}
