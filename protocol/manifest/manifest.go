package manifest

import (
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// Manifest is a backup_manifest: what a backup holds, and the WAL it needs
// (PostgreSQL's documentation, "Backup Manifest Format").
type Manifest struct {
	Version   int    // 1: PostgreSQL 13 to 16; 2: 17 and later
	SystemID  uint64 // the cluster's system identifier; 0 in version 1, which has none
	Files     []File
	WALRanges []WALRange // the newest timeline first
}

// File is a file in a manifest. Directories, links, WAL segments and the
// manifest itself are in none.
type File struct {
	// Path is relative to the data directory, with slashes, and valid by
	// [protocol.CheckPath]. It is bytes, not necessarily UTF-8.
	Path      string
	Size      int64             // bytes
	ModTime   time.Time         // whole seconds; the zero time where a manifest has none
	Algorithm ChecksumAlgorithm // the zero value is CRC-32C
	// Checksum is what the algorithm's hash returned as its Sum; nil for
	// [ChecksumNone].
	Checksum []byte
}

// WALRange is WAL that must be there to recover a backup: [Start, End) on the
// timeline.
type WALRange struct {
	Timeline   protocol.Timeline
	Start, End protocol.LSN
}

// The versions of the format.
const (
	version1 = 1
	version2 = 2 // with the system identifier
)

// timeLayout is the layout of a file's Last-Modified; the time is in UTC.
const timeLayout = "2006-01-02 15:04:05 GMT"
