package datatree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

var _ output.Output = (*Tree)(nil)

// Config says what a Tree is to be, and how it is to be written.
type Config struct {
	Dir        string     // the data directory, an absolute path; it must be empty or absent
	WALDir     string     // the directory that pg_wal becomes a link to, likewise; empty: no link
	Force      bool       // remove what a backup that was killed has left in a directory
	NoSync     bool       // do not wait until all is on disk
	SyncMethod SyncMethod // where it waits, by which calls
	NoClean    bool       // on Undo leave behind what was written
	DryRun     bool       // NewRefresh changes nothing on disk, and Claim is not called
	Log        output.Log
}

// Tree is a backup in directories: the data directory, those of the tablespaces, and that of
// WAL. Each is reached by its own path, and never through a link of another. Paths within the
// backup are those of the protocol. The methods that create, rename and remove files may be
// called by several goroutines, once the Tree is claimed.
type Tree struct {
	Config
	dirMode         fs.FileMode // of directories, whatever the umask
	fileMode        fs.FileMode
	systemID        uint64              // of the cluster
	openDirectories int                 // that a sink keeps open; one at least
	located         []output.Tablespace // see Locate
	main            *claimed            // nil before Claim
	spaces          map[uint32]*claimed // by OID, those that have a link
	wal             *claimed            // nil: pg_wal is a directory like others
	order           []*claimed          // all of them, as they were claimed: main is the first
	systems         []fileSystem        // on which they are
	keep            bool                // what the directories hold is kept, see Refresh
	finished        *finished           // the backup that is kept, where it is a finished one
}

// New makes sure that the directories of c can be filled. It changes nothing on disk.
func New(c Config) (*Tree, error) {
	t := &Tree{Config: c, openDirectories: 1, spaces: map[uint32]*claimed{}}
	if err := t.checkVacant(c.Dir); err != nil {
		return nil, err
	}
	if c.WALDir != "" {
		if err := t.checkVacant(c.WALDir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// checkVacant reports an error unless a directory can be filled: it lies in no cluster,
// and is absent or empty, or holds an unfinished backup that is to be removed.
func (t *Tree) checkVacant(path string) error {
	if err := checkOutside(path); err != nil {
		return err
	}
	if _, ours := t.earlierPart(path); ours {
		return nil
	}
	err := checkVacant(path, nil)
	if (t.Force || t.keep) && errors.Is(err, ErrUnfinished) {
		return nil
	}
	return err
}

// ClaimDirectory claims the data directory only. Directories have the mode of the cluster; files
// have the same without the right to execute.
func (t *Tree) ClaimDirectory(of output.Cluster) error {
	t.dirMode, t.fileMode, t.systemID = of.DirectoryMode, of.DirectoryMode&^0o111, of.SystemID
	main, err := t.claim(t.Dir)
	if err != nil {
		return err
	}
	t.main, t.order = main, []*claimed{main}
	return nil
}

// Locate lets each tablespace have its location, which must be vacant, and must not overlap
// with another directory of the backup.
func (t *Tree) Locate(spaces []output.Tablespace) (map[uint32]output.Target, error) {
	targets := map[uint32]output.Target{0: {Path: t.Dir}}
	taken := map[string]string{t.Dir: "the data directory"}
	if t.WALDir != "" {
		taken[t.WALDir] = "the WAL directory"
	}
	for _, space := range spaces {
		oid, location := space.OID, space.Location
		if err := t.checkLocation(space, taken); err != nil && !space.Mapped {
			return nil, &TablespaceError{OID: oid, Location: location, Err: err}
		} else if err != nil {
			return nil, err
		}
		taken[location] = fmt.Sprintf("tablespace %d", oid)
		targets[oid] = output.Target{Path: location, Unmapped: !space.Mapped}
	}
	if t.Force || t.keep {
		if err := t.checkSources(spaces); err != nil {
			return nil, err
		}
	}
	t.located = spaces
	return targets, nil
}

// checkLocation makes sure that a tablespace can go to its location. The directories of
// taken are others' already.
func (t *Tree) checkLocation(space output.Tablespace, taken map[string]string) error {
	if !space.Mapped {
		if err := checkUnmapped(space.OID, space.Location); err != nil {
			return err
		}
		t.Log.Verbose("tablespace %d goes to %q, which the server has named: no mapping does", space.OID, space.Location)
	}
	for other, what := range taken {
		overlaps, err := Overlap(space.Location, other)
		if err != nil {
			return err
		}
		if overlaps {
			return fmt.Errorf("directory %q of tablespace %d overlaps with %q of %s: use tablespace mapping", space.Location, space.OID, other, what)
		}
	}
	return t.checkVacant(space.Location)
}

// Claim claims all directories, so that what is wrong with one of them is known before
// the checkpoint.
func (t *Tree) Claim(_ context.Context, of output.Cluster, openDirectories int) error {
	if err := t.ClaimDirectory(of); err != nil {
		return err
	}
	if err := t.main.serveMode(of.DirectoryMode, t.Log); err != nil {
		return err
	}
	t.openDirectories = openDirectories
	for _, space := range t.located {
		p, err := t.claimAlso(space.Location)
		if err != nil {
			return err
		}
		t.spaces[space.OID] = p
	}
	if t.WALDir == "" {
		return nil
	}
	p, err := t.claimAlso(t.WALDir)
	if err != nil {
		return err
	}
	t.wal = p
	return nil
}

// Check finds nothing that a directory cannot hold.
func (t *Tree) Check(*output.Listing) error { return nil }

// Needs is what goes into each of the directories.
func (t *Tree) Needs(l *output.Listing, wal int64) (needs map[string]int64, atMost bool) {
	locations := map[uint32]string{}
	for _, space := range t.located {
		locations[space.OID] = space.Location
	}
	needs = map[string]int64{cmp.Or(t.WALDir, t.Dir): wal}
	for oid, sum := range l.Sums() {
		needs[cmp.Or(locations[oid], t.Dir)] += sum.Bytes
	}
	return needs, false
}

// LayOut creates the directories and the links of the listing.
func (t *Tree) LayOut(l *output.Listing) error {
	if err := t.writeContents(l); err != nil {
		return err
	}
	for _, path := range l.Directories {
		// WALSink has created those of the WAL already.
		if err := t.EnsureDirectory(path); err != nil {
			return err
		}
	}
	for _, oid := range l.Links {
		if err := t.link(oid); err != nil {
			return err
		}
	}
	for _, space := range t.located {
		if !slices.Contains(l.Links, space.OID) {
			if err := t.dropTablespace(space.OID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sink is a sink that creates files in their directories.
func (t *Tree) Sink() output.Sink { return &dirSink{tree: t} }

// WALSink creates pg_wal, and a sink for the segments that are streamed into it.
func (t *Tree) WALSink() (output.Sink, error) {
	for _, path := range []string{output.WALFolder, output.WALFolder + "/archive_status"} {
		if err := t.EnsureDirectory(path); err != nil {
			return nil, err
		}
	}
	return &walSink{dirSink{tree: t}}, nil
}

// FinalSize is as many bytes as have arrived.
func (t *Tree) FinalSize(f *output.File, _ int64) int64 { return f.Size }

// ControlFile reads global/pg_control under the name that it has until the end.
func (t *Tree) ControlFile() ([]byte, error) { return t.read(output.ControlFileHeld) }

// WriteFile creates a file, whose time is that of its creation.
func (t *Tree) WriteFile(path string, content []byte, _ int64) error { return t.write(path, content) }

// AppendFile adds to any file.
func (t *Tree) AppendFile(path string, content []byte, _ int64) ([]byte, error) {
	if err := t.append(path, content); err != nil {
		return nil, err
	}
	return t.read(path)
}

// TablespaceMap is empty: there are links.
func (t *Tree) TablespaceMap(bool) ([]byte, error) { return nil, nil }

// Undo restores all directories, or with NoClean leaves them as they are. The last claimed
// is restored first: a directory may have been created as the parent of a later one.
func (t *Tree) Undo() {
	if t.main == nil {
		return
	}
	if t.NoClean {
		t.close()
		t.Log.Info("data directory %q not removed at user's request%s", t.Dir, takenUp(t.Dir))
		return
	}
	t.closeFileSystems()
	if err := t.main.hold(); err != nil {
		t.Log.Warning("%v", err) // the removal will say so, too
	}
	for _, p := range slices.Backward(t.order) {
		what := "tablespace directory"
		switch p {
		case t.main:
			what = "data directory"
		case t.wal:
			what = "WAL directory"
		}
		if len(p.made) == 0 {
			what = "contents of " + what
		}
		t.Log.Info("removing %s %q", what, p.path)
		if err := p.restore(); err != nil {
			t.Log.Warning("could not remove %s %q: %v", what, p.path, protocol.Shorten(err.Error(), 500))
		}
	}
}

// close lets go of the directories, as they are.
func (t *Tree) close() {
	for _, p := range t.order {
		p.close()
	}
	t.closeFileSystems()
}

// claimAlso claims a directory beside the data directory.
func (t *Tree) claimAlso(path string) (*claimed, error) {
	p, err := t.claim(path)
	if err != nil {
		return nil, err
	}
	t.order = append(t.order, p)
	return p, nil
}

// dropTablespace restores the directory of a tablespace that is not in the backup.
func (t *Tree) dropTablespace(oid uint32) error {
	p := t.spaces[oid]
	delete(t.spaces, oid)
	t.order = slices.DeleteFunc(t.order, func(other *claimed) bool { return other == p })
	if err := p.restore(); err != nil {
		return fmt.Errorf("could not remove tablespace directory %q: %w", p.path, err)
	}
	return nil
}
