// Package output is the door between a backup and what the backup is written as.
//
// The run of a backup knows an [Output] and never asks for its format. Two packages make
// one: datatree writes a data directory, tarball writes archives. Beside the door the
// package has what both sides speak of: the [Listing] of the server with its [File]s, the
// [Sink] that each worker writes to, and the names of §5.6 (a § is a section of
// protocol/PROTOCOL.md).
package output

import (
	"context"
	"io"
	"io/fs"
)

// Output is what a backup is written as. One goroutine calls the methods, in the order
// below; Undo may follow any of them. Only FinalSize, and the methods of the sinks, are
// called by the goroutines of the workers.
type Output interface {
	// Before the backup starts. Only Claim changes anything on disk.

	// Locate decides where the data directory (OID 0) and the tablespaces go. It fails
	// where one of them cannot go there.
	Locate(spaces []Tablespace) (map[uint32]Target, error)
	// Claim makes the located directories those of this backup. openDirectories is the number of
	// directories that each sink may keep open. The end of ctx interrupts writes that nothing
	// else would end.
	Claim(ctx context.Context, of Cluster, openDirectories int) error

	// While the backup runs.

	// WALSink makes room for WAL that is streamed, and returns the sink that takes it. A
	// file of this sink gets its name when it is whole.
	WALSink() (Sink, error)
	// Check fails where the output cannot hold what the server has listed. It needs no
	// Claim.
	Check(l *Listing) error
	// Needs is how many bytes go into which directory: the listing's, and wal bytes of
	// WAL. It needs no Claim. With atMost they may become fewer, as by compression.
	Needs(l *Listing, wal int64) (needs map[string]int64, atMost bool)
	// LayOut creates the directories of the listing, and the links of its tablespaces.
	// It gives tablespaces up that were dropped since Locate. l must not change its
	// directories and links afterwards.
	LayOut(l *Listing) error
	// Sink is a new sink for the files of the listing. Sinks work side by side.
	Sink() Sink
	// FinalSize is how many bytes of a file the output has, of which f.Size arrived and
	// listed were expected.
	FinalSize(f *File, listed int64) int64
	// ControlFile is the content of the file that a sink has taken under the name
	// [ControlFileHeld].
	ControlFile() ([]byte, error)

	// When all files have arrived.

	// WriteFile adds a file of the client's own. modTime is in Unix seconds, here and
	// below, and of interest to archives only.
	WriteFile(path string, content []byte, modTime int64) error
	// AppendFile adds lines to a file that the server may have sent, or creates it, and
	// returns what the file holds then. They begin on a line of their own. The output must have been made to expect that of
	// path.
	AppendFile(path string, content []byte, modTime int64) ([]byte, error)
	// EnsureDirectory creates a directory that the listing may not have.
	EnsureDirectory(path string) error
	// TablespaceMap is the content of the file tablespace_map, by which recovery finds
	// the tablespaces; empty where the output has links. Without recovery there are
	// always links.
	TablespaceMap(recovery bool) ([]byte, error)
	// Release makes the output a backup that can be used, in the order of §5.6, and
	// closes it. It calls step with a name at the beginning of each of its steps, and
	// ends with the error of step. m writes the manifest; nil: there is none.
	Release(m Manifest, step func(name string) error) error

	// Undo leaves everything as it was before Claim, or, where the output was made so,
	// as it is now. It tells what it does, and what it could not do.
	Undo()
}

// Cluster is the cluster that a backup is of.
type Cluster struct {
	SystemID      uint64      // its system identifier
	DirectoryMode fs.FileMode // its data_directory_mode
}

// Tablespace is a tablespace with a directory of its own.
type Tablespace struct {
	OID      uint32
	Location string // where it is to go: an absolute path
	Mapped   bool   // the user has said so; false: the server has
	Source   string // where the server has it
}

// Target is where a tablespace, or the data directory, goes.
type Target struct {
	Path     string // a directory or an archive; "-" where the user takes the archive
	Unmapped bool   // the server has named Path, for want of a mapping (§5.9)
}

// Manifest writes backup_manifest to w. It may be called more than once, and writes the
// same each time.
type Manifest func(w io.Writer) error

// Log is where an output tells the user what happens. Any goroutine may call it.
type Log interface {
	Verbose(format string, args ...any) // the course of the backup
	Info(format string, args ...any)    // what happens to the user's directories
	Warning(format string, args ...any) // something may be wrong
}
