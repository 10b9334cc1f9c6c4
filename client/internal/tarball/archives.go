package tarball

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
)

// Config says where archives go, and what they are to be.
type Config struct {
	// Tree is the directory that takes the archives, not claimed yet; nil: Out takes
	// base.tar, with the manifest in it.
	Tree *datatree.Tree
	// Out is written by nobody else. Where it has the method SetWriteDeadline, the
	// end of the context of Claim ends a write that nobody takes.
	Out         io.Writer
	Compression Compression
	Appended    []string // the files that AppendFile will be called for
}

// Archives are a backup in tar format: an archive of the data directory, and one of each
// tablespace. Between LayOut and Release several goroutines may add files, each with a sink of
// its own; the methods of Archives, except FinalSize, are for one goroutine.
type Archives struct {
	Config
	fileMode   os.FileMode
	dirMode    os.FileMode
	appendOnly bool                // files in Tree can only be written from beginning to end
	located    []output.Tablespace // see Locate
	links      []uint32            // those of located that are in the backup, by OID
	modTime    int64               // of members that have no time of their own

	base    archive
	spaces  map[uint32]archive   // by OID
	wal     archive              // nil: WAL goes into base
	names   []string             // the last names of the files; the data directory's comes first
	folders map[string]bool      // directories that are in base
	held    map[string]*heldFile // files that a sink keeps in memory, by name
	spills  atomic.Int64         // files that spill has made
	// uninterrupt ends what interruptible has begun.
	uninterrupt func() bool
	own         *tarSink // for what the client itself writes
}

// New makes archives without any members. It changes nothing on disk.
func New(c Config) *Archives {
	a := &Archives{Config: c, spaces: map[uint32]archive{}, folders: map[string]bool{}, held: map[string]*heldFile{}}
	a.own = a.newSink()
	for _, name := range append([]string{output.ControlFileHeld}, c.Appended...) {
		a.held[name] = &heldFile{name: name}
	}
	return a
}

// LayOut begins the archives, with the directories of the listing.
func (a *Archives) LayOut(l *output.Listing) error {
	a.links, a.modTime = l.Links, l.Control.ModTime
	if err := a.beginBase(); err != nil {
		return err
	}
	for _, oid := range a.separate(l) {
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
	return a.own.Flush() // directories come before what they hold
}

// separate is the tablespaces that have archives of their own: those with links, and those in
// place, which are directories in pg_tblspc. Archives that share one output cannot be told
// apart: there what lies in place is a part of the data directory.
func (a *Archives) separate(l *output.Listing) []uint32 {
	oids := slices.Clone(l.Links)
	for _, path := range l.Directories {
		oid, rest, within := output.SplitTablespacePath(path)
		if within && rest == "" && a.Tree != nil && !slices.Contains(oids, oid) {
			oids = append(oids, oid)
		}
	}
	return oids
}

// beginBase begins the archive of the data directory, the first of all.
func (a *Archives) beginBase() error {
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
func (a *Archives) separateWAL() error {
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
func (a *Archives) begin(name string) (archive, error) {
	if a.Tree == nil {
		return newTarStream(a.Out, a.Compression), nil
	}
	name += a.Compression.suffix()
	file, err := a.Tree.Create(name + output.IncompleteSuffix)
	if err != nil {
		return nil, err
	}
	a.names = append(a.names, name)
	if a.Compression.Method == CompressionNone && !a.appendOnly {
		return newTarFile(file), nil
	}
	stream := newTarStream(file, a.Compression)
	stream.file, stream.spill, stream.appendOnly = file, a.spill, a.appendOnly
	return stream, nil
}

// spill makes a file in Tree that has no name, and is gone when it is closed.
func (a *Archives) spill() (*os.File, error) {
	name := fmt.Sprintf("spill%d%s", a.spills.Add(1), output.IncompleteSuffix)
	return a.Tree.CreateUnnamed(name)
}

// locate finds the archive of a path, and its name there.
func (a *Archives) locate(path string) (archive, string) {
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

// addDirectory adds a directory. pg_wal itself is in base.tar, where its own archive is unpacked.
func (a *Archives) addDirectory(path string, modTime int64) error {
	a.folders[path] = true
	archive, name := a.locate(path)
	if archive == a.wal {
		archive, name = a.base, path
	}
	return a.own.addTo(archive, tarHeader{name: name, kind: tarDirectory, mode: a.dirMode, modTime: modTime}, nil)
}

func (a *Archives) addLink(path, to string, modTime int64) error {
	return a.own.add(path, tarHeader{kind: tarSymlink, mode: 0o777, modTime: modTime, link: to}, nil)
}

// addFile adds a file with its content.
func (a *Archives) addFile(path string, content []byte, modTime int64) error {
	h := tarHeader{kind: tarRegular, size: int64(len(content)), mode: a.fileMode, modTime: modTime}
	return a.own.add(path, h, content)
}

// finish ends the archives.
func (a *Archives) finish() error {
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

// close lets go of archives that are not finished.
func (a *Archives) close() {
	for _, archive := range a.all() {
		archive.close()
	}
}

// all is all archives, the data directory's last.
func (a *Archives) all() []archive {
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
