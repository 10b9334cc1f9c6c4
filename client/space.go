package client

import (
	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// FileSystem is a file system that a backup is written to.
type FileSystem struct {
	Dir    string // a directory on it that exists
	Needed int64  // bytes that the backup needs there; more if the cluster writes much WAL meanwhile
	AtMost bool   // Needed is what it would be without compression, or of a refresh if no blocks were shared
	Free   int64  // bytes that can be written there
}

// fileSystems are those that files and their WAL go to. Several directories
// may be on one.
func (b *backup) fileSystems(l *output.Listing) []FileSystem {
	needs, atMost := b.out.Needs(l, b.leastWAL())
	var list []FileSystem
	for _, f := range datatree.FileSystems(needs) {
		list = append(list, FileSystem{Dir: f.Dir, Needed: f.Needed, AtMost: atMost, Free: f.Free})
	}
	return list
}

// leastWAL is how many bytes of WAL the backup will have at the least: the segment of the
// checkpoint, and that of the end, which most often is another where the cluster runs.
func (b *backup) leastWAL() int64 {
	switch {
	case b.walAccess() == protocol.WALKept:
		return b.cluster.segmentSize
	case b.WAL.Method == WALNone:
		return 0
	}
	return 2 * b.cluster.segmentSize
}

// warnOfSpace warns where a file system has less room than what is to be written there. It
// is a warning, for only the file system knows what it makes of the files: it may compress,
// or grow. Of archives that are compressed nobody knows.
func (b *backup) warnOfSpace() {
	for _, f := range b.fileSystems(b.listing) {
		if f.Needed > f.Free && !f.AtMost {
			b.events.tell(LevelWarning, "file system of directory %q has %d kB left, the backup needs %d kB there", f.Dir, f.Free/1024, (f.Needed+1023)/1024)
		}
	}
}
