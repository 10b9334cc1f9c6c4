package client

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// archives is a backup in tar format: an archive of the data directory, and one of
// each tablespace. Between layOut and finish, sinks may add files from several
// goroutines; its own methods are for one goroutine.
type archives struct {
	target      *target   // where they lie; unless
	output      io.Writer // is not nil, to which the data directory's goes
	fileMode    os.FileMode
	dirMode     os.FileMode
	compression Compression
	appendOnly  bool // the target's files are written from beginning to end

	base    archive
	spaces  map[uint32]archive // by OID
	wal     archive            // nil: WAL goes into base
	names   []string           // of the files, as they will be; the data directory's first
	folders map[string]bool    // directories that are in base
	held    map[string]*heldFile
	spills  atomic.Int64 // files that spill has made
	// uninterrupt ends what interruptible has begun.
	uninterrupt func() bool
	own         *tarSink // for what the client itself writes
}

// newArchives makes archives without any members.
func newArchives(t *target, output io.Writer, mode os.FileMode, c Compression) *archives {
	a := &archives{
		target: t, output: output, compression: c, dirMode: mode, fileMode: mode &^ 0o111,
		spaces: map[uint32]archive{}, folders: map[string]bool{}, held: map[string]*heldFile{},
	}
	a.own = a.newSink()
	return a
}

// hold keeps a file in memory that a sink will create under the name, until release.
func (a *archives) hold(name string) { a.held[name] = &heldFile{name: name} }

// layOut begins the archives, with the directories of the listing.
func (a *archives) layOut(l *output.Listing) error {
	if err := a.beginBase(); err != nil {
		return err
	}
	for _, oid := range l.Links {
		space, err := a.begin(strconv.FormatUint(uint64(oid), 10) + ".tar")
		if err != nil {
			return err
		}
		a.spaces[oid] = space
	}
	for i, path := range l.Directories {
		if err := a.addDirectory(path, l.Times[i]); err != nil {
			return err
		}
	}
	return a.own.Flush() // before what the directories hold
}

// beginBase begins the archive of the data directory, the first of all.
func (a *archives) beginBase() error {
	if a.base != nil {
		return nil
	}
	base, err := a.begin("base.tar")
	if err != nil {
		return err
	}
	a.base = base
	return nil
}

// separateWAL begins an archive for the files that a sink creates below pg_wal from now
// on: WAL that arrives while the backup runs.
func (a *archives) separateWAL() error {
	if err := a.beginBase(); err != nil {
		return err
	}
	wal, err := a.begin("pg_wal.tar")
	if err != nil {
		return err
	}
	a.wal = wal
	return nil
}

// begin creates an archive.
func (a *archives) begin(name string) (archive, error) {
	if a.output != nil {
		return newTarStream(a.output, a.compression), nil
	}
	name += a.compression.suffix()
	file, err := a.target.create(name + output.IncompleteSuffix)
	if err != nil {
		return nil, err
	}
	a.names = append(a.names, name)
	if a.compression.Method == CompressionNone && !a.appendOnly {
		return newTarFile(file), nil
	}
	stream := newTarStream(file, a.compression)
	stream.file, stream.spill, stream.appendOnly = file, a.spill, a.appendOnly
	return stream, nil
}

// spill makes a file that has no name, and is gone when it is closed.
func (a *archives) spill() (*os.File, error) {
	name := fmt.Sprintf("spill%d%s", a.spills.Add(1), output.IncompleteSuffix)
	root := a.target.main.root
	file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, a.fileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", name, output.Cause(err))
	}
	if err := root.Remove(name); err != nil {
		file.Close()
		return nil, fmt.Errorf("could not remove file %q: %w", name, output.Cause(err))
	}
	return file, nil
}

// locate finds the archive of a path, and its name there.
func (a *archives) locate(path string) (archive, string) {
	if oid, rest, within := output.SplitTablespacePath(path); within && rest != "" {
		if space := a.spaces[oid]; space != nil {
			return space, rest
		}
	}
	if name, within := strings.CutPrefix(path, "pg_wal/"); within && a.wal != nil {
		return a.wal, name
	}
	return a.base, path
}

func (a *archives) addDirectory(path string, modTime int64) error {
	a.folders[path] = true
	archive, name := a.locate(path)
	if archive == a.wal {
		archive, name = a.base, path // into which the WAL is unpacked
	}
	return a.own.addTo(archive, tarHeader{name: name, kind: tarDirectory, mode: a.dirMode, modTime: modTime}, nil)
}

// ensureDirectory adds a directory that may have been listed.
func (a *archives) ensureDirectory(path string, modTime int64) error {
	if a.folders[path] {
		return nil
	}
	if err := a.addDirectory(path, modTime); err != nil {
		return err
	}
	return a.own.Flush()
}

func (a *archives) addLink(path, to string, modTime int64) error {
	return a.own.add(path, tarHeader{kind: tarSymlink, mode: 0o777, modTime: modTime, link: to}, nil)
}

// addFile adds a file with its content.
func (a *archives) addFile(path string, content []byte, modTime int64) error {
	h := tarHeader{kind: tarRegular, size: int64(len(content)), mode: a.fileMode, modTime: modTime}
	return a.own.add(path, h, content)
}

// release adds a file that is held, under its path.
func (a *archives) release(name, path string, modTime int64) error {
	h := a.held[name]
	delete(a.held, name)
	return a.addFile(path, h.content, modTime)
}

// finish ends the archives.
func (a *archives) finish() error {
	if err := a.own.Flush(); err != nil {
		return err
	}
	for _, archive := range a.all() {
		if err := archive.finish(a.own.batches); err != nil {
			return fmt.Errorf("could not finish an archive: %w", output.Cause(err))
		}
	}
	a.uninterrupt()
	return nil
}

// close gives up archives that are not finished.
func (a *archives) close() {
	for _, archive := range a.all() {
		archive.close()
	}
}

// all is the archives that there are, the data directory's last.
func (a *archives) all() []archive {
	var list []archive
	for _, space := range a.spaces {
		list = append(list, space)
	}
	for _, other := range []archive{a.wal, a.base} {
		if other != nil {
			list = append(list, other)
		}
	}
	return list
}

// tablespaceMapLine is a line of the file tablespace_map, by which recovery makes the
// links (PostgreSQL's xlogrecovery.c, read_tablespace_map).
func tablespaceMapLine(oid uint32, location string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "\n", "\\\n", "\r", "\\\r").Replace(location)
	return fmt.Sprintf("%d %s\n", oid, escaped)
}
