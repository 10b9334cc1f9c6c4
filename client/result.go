package client

import (
	"errors"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/protocol"
)

// ErrChecksum is wrapped in the error of [Backup] where the server found pages
// whose checksums are wrong (§5.7). The backup is whole all the same, and kept:
// the [Result] is that of a success.
var ErrChecksum = errors.New("checksum error occurred")

// ErrUnfinished is wrapped in the error of [Backup] where a directory holds what a
// backup has left that was killed. [Options.Force] removes it.
var ErrUnfinished = datatree.ErrUnfinished

// ErrNotEmpty is wrapped in the error of [Backup] where a directory holds what no backup
// has left. [Options.Force] does not remove that.
var ErrNotEmpty = datatree.ErrNotEmpty

// TablespaceError is the error of [Backup] where a tablespace cannot be written to the
// directory that the server names, and [Options.TablespaceMap] names no other. It has the
// fields OID, Location, which is the directory, and Err, which is what is wrong with it.
type TablespaceError = datatree.TablespaceError

// Result tells about a finished backup.
type Result struct {
	SystemID     uint64            // the system identifier of the cluster
	StartPtr     protocol.LSN      // where recovery has to begin
	Timeline     protocol.Timeline // of StartPtr
	StopPtr      protocol.LSN      // where the backup is consistent; 0: not known (§4.3)
	StopTimeline protocol.Timeline // of StopPtr
	HasLabel     bool              // false: the backup starts without recovery
	Files        int64             // data files of the backup, WAL excepted: FetchedFiles and KeptFiles
	Bytes        int64             // their size: FetchedBytes and KeptBytes
	FetchedFiles int64             // those that were received, whole or in parts; all but with Options.Refresh
	FetchedBytes int64             // how much was received
	KeptFiles    int64             // files of an earlier backup that were kept as they were (Options.Refresh)
	KeptBytes    int64             // how much was kept, of these files and of those that were received in parts
	RemovedFiles int64             // files of the earlier backup that the server does not have
	WALFiles     int64             // segments and history files received
	Vanished     int64             // files dropped on the server meanwhile, which WAL replay makes up for (§5.2)
}
