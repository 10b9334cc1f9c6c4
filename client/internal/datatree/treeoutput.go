package datatree

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// A target is an Output; its Undo and EnsureDirectory are in tree.go, its Release in
// release.go.
var _ output.Output = (*Tree)(nil)

// Locate gives each tablespace its location, which must be vacant, and not inside of
// another directory of the backup.
func (t *Tree) Locate(spaces []output.Tablespace) (map[uint32]output.Target, error) {
	targets := map[uint32]output.Target{0: {Path: t.Dir}}
	taken := map[string]string{t.Dir: "the data directory"}
	if t.WALDir != "" {
		taken[t.WALDir] = "the WAL directory"
	}
	for _, space := range spaces {
		oid, location := space.OID, space.Location
		if !space.Mapped {
			if err := checkUnmapped(oid, location); err != nil {
				return nil, err
			}
			t.log.Verbose("tablespace %d goes to %q, which the server has named: no mapping does", oid, location)
		}
		for other, what := range taken {
			overlaps, err := Overlap(location, other)
			if err != nil {
				return nil, err
			}
			if overlaps {
				return nil, fmt.Errorf("directory %q of tablespace %d overlaps with %q of %s: use tablespace mapping", location, oid, other, what)
			}
		}
		if err := t.checkVacant(location); err != nil {
			return nil, err
		}
		taken[location] = fmt.Sprintf("tablespace %d", oid)
		targets[oid] = output.Target{Path: location, Unmapped: !space.Mapped}
	}
	t.located = spaces
	return targets, nil
}

// Claim claims all directories, so that what is wrong with one of them is known before
// the checkpoint.
func (t *Tree) Claim(_ context.Context, mode fs.FileMode, openDirectories int) error {
	if err := t.ClaimDirectory(mode); err != nil {
		return err
	}
	if err := t.main.serveMode(mode, t.log); err != nil {
		return err
	}
	t.openDirectories = openDirectories
	for _, space := range t.located {
		p, err := t.occupy(space.Location)
		if err != nil {
			return err
		}
		t.spaces[space.OID] = p
	}
	if t.WALDir == "" {
		return nil
	}
	p, err := t.occupy(t.WALDir)
	if err != nil {
		return err
	}
	t.wal = p
	return nil
}

// Check warns where there is too little room. WAL is not listed yet, and counts as one
// segment where it has a directory of its own.
func (t *Tree) Check(l *output.Listing, segmentSize int64) error {
	locations := map[uint32]string{}
	for _, space := range t.located {
		locations[space.OID] = space.Location
	}
	needs := map[string]int64{}
	for oid, sum := range l.Sums() {
		if location, apart := locations[oid]; apart {
			needs[location] += sum.Bytes
		} else {
			needs[t.Dir] += sum.Bytes
		}
	}
	if t.WALDir != "" {
		needs[t.WALDir] = segmentSize
	}
	WarnOfSpace(t.log, needs)
	return nil
}

// LayOut creates the directories and the links of the listing.
func (t *Tree) LayOut(l *output.Listing) error {
	for _, path := range l.Directories {
		// Those of the WAL are there where it is streamed.
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
func (t *Tree) Sink() output.Sink { return &dirSink{target: t} }

// WALSink creates pg_wal, and a sink for the segments that are streamed into it.
func (t *Tree) WALSink() (output.Sink, error) {
	for _, path := range []string{output.WALFolder, output.WALFolder + "/archive_status"} {
		if err := t.EnsureDirectory(path); err != nil {
			return nil, err
		}
	}
	return &walSink{dirSink{target: t}}, nil
}

// FinalSize is as many bytes as have arrived.
func (t *Tree) FinalSize(f *output.File, _ int64) int64 { return f.Size }

// ControlFile reads global/pg_control under the name that it has until the end.
func (t *Tree) ControlFile() ([]byte, error) {
	root, name := t.locate(output.ControlFileHeld)
	content, err := root.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("could not read file %q: %w", output.ControlFileHeld, output.Cause(err))
	}
	return content, nil
}

// WriteFile creates a file, whose time is that of its creation.
func (t *Tree) WriteFile(path string, content []byte, _ int64) error { return t.write(path, content) }

// AppendFile adds to any file.
func (t *Tree) AppendFile(path string, content []byte, _ int64) error {
	return t.append(path, content)
}

// TablespaceMap is empty: there are links.
func (t *Tree) TablespaceMap(bool) ([]byte, error) { return nil, nil }

// partialSuffix is behind the name of a WAL file that is being received.
const partialSuffix = ".partial"

// walSink gives a file its name when it is whole and on disk.
type walSink struct{ dirSink }

func (s *walSink) Create(f *output.File, name string) (output.Entry, error) {
	e, err := s.dirSink.Create(f, name+partialSuffix)
	if err != nil {
		return nil, err
	}
	return &walEntry{Entry: e, target: s.target, name: name}, nil
}

// walEntry is a WAL file on its way.
type walEntry struct {
	output.Entry
	target *Tree
	name   string
}

func (e *walEntry) Finish(sum io.Writer) error {
	if err := e.Entry.Finish(sum); err != nil {
		return err
	}
	if e.target.sync {
		if err := e.target.syncFile(e.name + partialSuffix); err != nil {
			return err
		}
	}
	return e.target.Rename(e.name+partialSuffix, e.name, false) // the directory is synchronized with all others
}
