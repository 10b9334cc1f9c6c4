package tarball

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

var _ output.Output = (*Archives)(nil)

// Locate gives each tablespace an archive. The directories where the tablespaces will be
// unpacked need not be vacant here.
func (a *Archives) Locate(spaces []output.Tablespace) (map[uint32]output.Target, error) {
	a.located = spaces
	if a.Tree == nil {
		if len(spaces) > 0 {
			return nil, fmt.Errorf("can only write single tablespace to stdout, database has %d", len(spaces)+1)
		}
		return map[uint32]output.Target{0: {Path: "-"}}, nil
	}
	archive := func(name string) output.Target {
		return output.Target{Path: filepath.Join(a.Tree.Dir, name+".tar"+a.Compression.suffix())}
	}
	targets := map[uint32]output.Target{0: archive("base")}
	for _, space := range spaces {
		targets[space.OID] = archive(strconv.FormatUint(uint64(space.OID), 10))
	}
	return targets, nil
}

// Claim claims the directory of the archives, and finds out what its file system can do.
func (a *Archives) Claim(ctx context.Context, of output.Cluster, _ int) error {
	a.dirMode, a.fileMode = of.DirectoryMode, of.DirectoryMode&^0o111
	if a.Tree != nil {
		if err := a.Tree.ClaimDirectory(of); err != nil {
			return err
		}
		anywhere, err := probe(a.Tree)
		if err != nil {
			return err
		}
		a.appendOnly = !anywhere
	}
	a.interruptible(ctx)
	return nil
}

// interruptible makes the end of ctx end a write to Out as well, on which nobody
// may be reading, if Out knows deadlines.
func (a *Archives) interruptible(ctx context.Context) {
	a.uninterrupt = func() bool { return true }
	if out, ok := a.Out.(interface{ SetWriteDeadline(time.Time) error }); ok {
		a.uninterrupt = context.AfterFunc(ctx, func() {
			out.SetWriteDeadline(time.Unix(1, 0)) // one that knows none cannot be helped
		})
	}
}

// Check fails for names that are too long for an archive.
func (a *Archives) Check(l *output.Listing) error { return checkTarNames(l) }

// Needs is what goes into the directory of the archives, if there is one. How far
// compression shrinks it nobody can tell.
func (a *Archives) Needs(l *output.Listing, wal int64) (needs map[string]int64, atMost bool) {
	if a.Tree == nil {
		return nil, false
	}
	return map[string]int64{a.Tree.Dir: l.Bytes + wal}, a.Compression.Method != CompressionNone
}

// Sink is a sink that puts files into the archives they belong to.
func (a *Archives) Sink() output.Sink { return a.newSink() }

// WALSink begins an archive for the files that a sink creates below pg_wal from now on:
// WAL that arrives while the backup runs. In an archive nothing can be renamed: a segment
// that is not whole is not in it.
func (a *Archives) WALSink() (output.Sink, error) {
	if err := a.separateWAL(); err != nil {
		return nil, err
	}
	return a.newSink(), nil
}

// FinalSize is the size as listed, which the header of the member said beforehand.
func (a *Archives) FinalSize(f *output.File, listed int64) int64 {
	if f.Path == output.ControlFile || a.held[f.Path] != nil {
		return f.Size
	}
	return listed
}

// ControlFile is kept in memory until the end.
func (a *Archives) ControlFile() ([]byte, error) { return a.held[output.ControlFileHeld].content, nil }

// WriteFile adds a member.
func (a *Archives) WriteFile(path string, content []byte, modTime int64) error {
	return a.addFile(path, content, modTime)
}

// AppendFile adds a file that has been kept in memory, with what it is to have besides.
func (a *Archives) AppendFile(path string, content []byte, modTime int64) ([]byte, error) {
	h := a.held[path]
	if h == nil {
		return nil, fmt.Errorf("file %q is in its archive already", path)
	}
	whole := append(h.content, output.OnNewLine(h.content, content)...)
	return whole, a.unhold(path, path, whole, modTime)
}

// unhold adds a file that has been kept in memory, under its path.
func (a *Archives) unhold(name, path string, content []byte, modTime int64) error {
	delete(a.held, name)
	return a.addFile(path, content, modTime)
}

// EnsureDirectory adds a directory that may have been listed.
func (a *Archives) EnsureDirectory(path string) error {
	if a.folders[path] {
		return nil
	}
	if err := a.addDirectory(path, a.modTime); err != nil {
		return err
	}
	return a.own.Flush()
}

// TablespaceMap says where the tablespaces are to be. PostgreSQL reads tablespace_map only
// together with backup_label: without recovery there are links in base.tar instead.
func (a *Archives) TablespaceMap(recovery bool) ([]byte, error) {
	var lines []byte
	for _, space := range a.located {
		if !slices.Contains(a.links, space.OID) {
			continue
		}
		if recovery {
			lines = append(lines, tablespaceMapLine(space.OID, space.Location)...)
			continue
		}
		if err := a.addLink(fmt.Sprintf("pg_tblspc/%d", space.OID), space.Location, a.modTime); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// Release ends the archives, and has their directory made a backup in the order of §5.6.
func (a *Archives) Release(m output.Manifest, step func(name string) error) error {
	if err := step("finish archives"); err != nil {
		return err
	}
	if err := a.complete(m); err != nil {
		return err
	}
	if a.Tree == nil {
		return nil
	}
	return a.Tree.ReleaseHeld(a.names[1:], a.names[0], m, step)
}

// complete adds the control file, and with nobody else to take it the manifest, and ends
// the archives.
func (a *Archives) complete(m output.Manifest) error {
	control := a.held[output.ControlFileHeld].content
	if err := a.unhold(output.ControlFileHeld, output.ControlFile, control, a.modTime); err != nil {
		return err
	}
	if a.Tree == nil && m != nil {
		if err := a.addManifest(m); err != nil {
			return err
		}
	}
	return a.finish()
}

// Undo gives up the archives, and removes what is in their directory.
func (a *Archives) Undo() {
	a.close()
	if a.Tree != nil {
		a.Tree.Undo()
	}
}

// addManifest adds the manifest. m writes it twice, because the header of a member has its
// size.
func (a *Archives) addManifest(m output.Manifest) error {
	var size counter
	if err := m(&size); err != nil {
		return err
	}
	h := tarHeader{name: output.ManifestFile, kind: tarRegular, size: int64(size), mode: a.fileMode, modTime: time.Now().Unix()}
	e, err := newTarEntry(a.base, a.own.batches, h)
	if err != nil {
		return err
	}
	if err = m(entryWriter{e}); err == nil {
		err = e.Finish(io.Discard)
	}
	if err != nil {
		e.Discard() // the error to report is the one before
	}
	return err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// entryWriter writes to a file whose size is known.
type entryWriter struct{ output.Entry }

func (w entryWriter) Write(p []byte) (int, error) {
	kept, err := w.Add(p)
	if err == nil && len(kept) < len(p) {
		err = io.ErrShortWrite
	}
	return len(kept), err
}
