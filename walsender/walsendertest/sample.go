package walsendertest

import (
	"fmt"
	"math/bits"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// Sample describes a data directory. The zero value is a primary of PostgreSQL 15
// that was shut down cleanly, with page checksums, in about 35 MB.
//
// Its names are fixed. The databases have the OIDs 1, 4, 5, 16384, 16385, …;
// each holds the relations 20000, 20001, … with the forks _fsm and _vm, and the
// empty relation 29999. The database 5 also holds the small files, from 100000
// on. The WAL begins with segment 1, which ends with a segment switch; segment 2
// begins with the checkpoint that pg_control names. [Sample.LeftOut] lists what
// is there and must not be in a backup.
type Sample struct {
	// Version is the major version of PostgreSQL, 13 to 19; 0 means 15.
	Version int
	// SystemID is the system identifier; 0 means 7300000000000000001.
	SystemID uint64
	// State is what pg_control says; 0 means [controlfile.StateShutDown]. The state of
	// a standby comes with standby.signal and a minimum recovery point: the end of
	// the WAL. No state comes with a postmaster.pid.
	State controlfile.State
	// Timeline is the one of the checkpoint; 0 means 1. Segment 1 is on the
	// timeline before it, and the history files are there, where it is not 1.
	Timeline protocol.Timeline
	// NoChecksums turns page checksums off.
	NoChecksums bool
	// GroupAccess gives directories mode 0750 and files 0640, else 0700 and 0600.
	GroupAccess bool
	// WALSegmentSize is in bytes, a power of two from 1 MiB (which makes the
	// smallest samples) to 1 GiB; 0 means 16 MiB.
	WALSegmentSize int

	// Databases is their number; 0 means 3.
	Databases int
	// Relations is the number of relations in each database, and of each
	// database in each tablespace; 0 means 4.
	Relations int
	// RelationPages is the size of each relation's main fork in pages of 8 kB; 0
	// means 10.
	RelationPages int
	// SegmentPages is how many pages a file of a relation holds at the most; 0 means
	// 131072 (1 GiB). Few make relations of many files in little room; PostgreSQL
	// has to be built for that, and pg_checksums then takes the pages for damaged.
	SegmentPages int
	// SmallFiles is the number of extra relation files in the database 5, as of
	// tables that were just made: every eighth holds one page, the others are
	// empty.
	SmallFiles int
	// Files are further files, of any size.
	Files []SampleFile
	// Tablespaces are the tablespaces besides pg_default and pg_global.
	Tablespaces []SampleTablespace
	// Unlogged adds the unlogged relation 30000 to each database: its main fork,
	// _fsm, and _init. Where recovery follows a restore only _init is backed up.
	Unlogged bool
	// OddNames adds the directory "odd names", with names that hold quotes, a
	// line feed, a backslash, letters outside of ASCII and bytes that are not
	// UTF-8. Some file systems refuse the last.
	OddNames bool
	// RecycledSegment adds segment 3 as the server leaves it for later use: with
	// the content of segment 1.
	RecycledSegment bool
	// DamagedPages are pages in which one byte is changed after all is written.
	DamagedPages []DamagedPage
}

// SampleTablespace is a tablespace of a [Sample].
type SampleTablespace struct {
	OID uint32
	// Location is the directory that pg_tblspc/OID is a link to: an absolute path.
	// It is made where it is not there. Without one the tablespace is an in-place
	// one: pg_tblspc/OID is a directory itself.
	Location string
}

// SampleFile is a further file of a [Sample].
type SampleFile struct {
	// Path is relative to the data directory and in the form of LIST_FILES. The
	// directory must be one that the sample has. A number as a name (base/5/40000,
	// base/5/40000.1) makes a file of a relation.
	Path string
	// Size is in bytes.
	Size int64
}

// DamagedPage names a page of a [Sample] by its file, in the form of LIST_FILES
// (base/5/20000), and by its number in that file, from 0. The pages 1, 17, 33, …
// of a fork are new ones: with a byte that is not zero they are damaged, too.
type DamagedPage struct {
	Path  string
	Block int64
}

// Write writes the data directory to dir, which is made and must not exist, or
// be empty. The same Sample makes the same bytes at every call (the files' times
// are not set). On an error what was written stays.
func (s Sample) Write(dir string) error {
	s, err := s.complete()
	if err != nil {
		return err
	}
	w := newTreeWriter(dir, s.GroupAccess)
	w.root()
	s.write(w)
	s.writeSmallFiles(w)
	for _, name := range s.LeftOut() {
		s.writeLeftOut(w, name)
	}
	w.file("global/pg_control", s.control().Encode())
	for _, p := range s.DamagedPages {
		w.damage(p)
	}
	if w.err != nil {
		return fmt.Errorf("writing a sample cluster: %w", w.err)
	}
	return nil
}

// write writes what a backup holds, but for the small files and pg_control.
func (s Sample) write(w tree) {
	s.writeFrame(w)
	for i := range s.Databases {
		s.writeDatabase(w, databaseOID(i))
	}
	for _, t := range s.Tablespaces {
		s.writeTablespace(w, t)
	}
	s.writeWAL(w)
	if s.OddNames {
		writeOddNames(w)
	}
	for _, f := range s.Files {
		s.writeFile(w, f)
	}
}

// complete puts the defaults in the place of zeros.
func (s Sample) complete() (Sample, error) {
	defaults := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	defaults(&s.Version, 15)
	defaults(&s.WALSegmentSize, 16<<20)
	defaults(&s.Databases, 3)
	defaults(&s.Relations, 4)
	defaults(&s.RelationPages, 10)
	defaults(&s.SegmentPages, 131072)
	if s.SystemID == 0 {
		s.SystemID = 7300000000000000001
	}
	if s.State == 0 {
		s.State = controlfile.StateShutDown
	}
	if s.Timeline == 0 {
		s.Timeline = 1
	}
	switch {
	case s.Version < 13 || s.Version > 19:
		return s, fmt.Errorf("sample cluster: PostgreSQL %d is not known, only 13 to 19 are", s.Version)
	case s.WALSegmentSize < 1<<20 || s.WALSegmentSize > 1<<30 || bits.OnesCount(uint(s.WALSegmentSize)) != 1:
		return s, fmt.Errorf("sample cluster: WAL segments of %d bytes", s.WALSegmentSize)
	case s.Databases < 0 || s.Relations < 0 || s.Relations > emptyRelation-firstRelation || s.RelationPages < 0 || s.SegmentPages < 0 || s.SmallFiles < 0:
		return s, fmt.Errorf("sample cluster: a number of databases, relations, pages or files is out of range")
	case s.SmallFiles > 0 && s.Databases < 3:
		return s, fmt.Errorf("sample cluster: small files belong to database 5, which needs 3 databases")
	}
	for _, f := range s.Files {
		if err := protocol.CheckPath(f.Path); err != nil || f.Size < 0 {
			return s, fmt.Errorf("sample cluster: file %q of %d bytes cannot be", f.Path, f.Size)
		}
	}
	return s, nil
}

// databaseOID numbers databases as PostgreSQL does from 15 on: template1,
// template0, postgres, then those that users made.
func databaseOID(i int) uint32 {
	if i < 3 {
		return []uint32{1, 4, 5}[i]
	}
	return 16384 + uint32(i-3)
}
