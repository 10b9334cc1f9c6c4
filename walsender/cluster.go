package walsender

import (
	"context"
	"io/fs"
	"iter"
	"net"

	"github.com/pgparallel/pgparallel/protocol"
)

// Cluster is where a server's bytes come from: a data directory and what is
// known about it. Its methods are called from many goroutines at once, and return
// soon after their ctx has ended: the session waits for them.
//
// An error that is a *[protocol.Error] is the answer to the peer. Where a file was asked
// for, fs.ErrNotExist is 58P01 and fs.ErrPermission 58030. Any other
// reaches the peer as XX000 with a fixed text, and the log with its own, and so does a row
// that no cluster can have: the log names the method that it came from. The
// cluster's further abilities are optional interfaces: [WALLister],
// [Historian], [SlotReader], [PassThrough], [RunningCluster], [Reopener],
// [BackupChecker]. A command whose ability is absent is answered with 0A000.
type Cluster interface {
	// Which cluster it is.

	// Directory names the data directory: two clusters with the same name
	// read the same files (device, inode, system identifier). A backup is
	// joined only where it was started (§4.2).
	Directory() string

	// Identify tells which cluster this is, for IDENTIFY_SYSTEM.
	Identify(ctx context.Context) (protocol.System, error)

	// Settings tells what SHOW and the parameters of a session need.
	Settings(ctx context.Context) (protocol.Settings, error)

	// InRecovery reports whether the cluster is a standby now. A backup whose
	// cluster answers otherwise than at its start is worthless (§4.6).
	InRecovery(ctx context.Context) (bool, error)

	// A backup of it.

	// StartBackup puts the cluster into backup mode and returns when the
	// checkpoint that the backup begins with is done. Any number of backups may
	// run at once; each is ended by the handle that is returned. When ctx ends
	// before, StartBackup leaves backup mode and returns an error; there is no
	// handle then.
	StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error)

	// Its files.

	// Tablespaces lists the tablespaces by OID, and the data directory last
	// (§4.4). Sizes are -1 unless asked for.
	Tablespaces(ctx context.Context, sizes bool) ([]protocol.Tablespace, error)

	// Files lists what a backup holds of the data directory (tablespace empty)
	// or of a tablespace, given by its location or its OID (§4.5). Rows come
	// as they are found; an error is the last thing that is yielded. A row has no
	// Checksum, and a Version where the file is a [VersionedFile].
	Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error]

	// Open opens a file of a listing, by its path there (§4.6). Reading yields
	// what is to be sent; Stat tells how much of it at the most. The file may
	// further be a [CheckedFile], a [VerifiedFile] or an [InPlaceFile], a
	// [DescriptorFile], and a [VersionedFile]. One goroutine uses it.
	Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error)
}

// WALLister is a [Cluster] with WAL files to send (§4.7). Of one that does not run
// ([RunningCluster]) the WAL is streamed, too (§9.2): from the segments that [Cluster.Open] opens, along the
// history files of a [Historian], to the last valid record at or behind the position that
// [Cluster.Identify] tells. While [BackupChecker] has an error, that is the answer.
type WALLister interface {
	// WALFiles lists the segments that hold bytes of [start, end), ascending,
	// then every history file. A zero start means the oldest segment there
	// is, a zero end no end. A gap in the range is 58P01.
	WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error]
}

// Historian is a [Cluster] with timeline history files (§4.9).
type Historian interface {
	// TimelineHistory is the timeline's history file; 58P01 where there is none.
	TimelineHistory(ctx context.Context, tli protocol.Timeline) (protocol.HistoryFile, error)
}

// SlotReader is a [Cluster] that does not run and has kept replication slots (§9.2). They
// can be used, and stay what they are.
type SlotReader interface {
	// ReplicationSlot is the slot of the name; fs.ErrNotExist where there is none.
	ReplicationSlot(ctx context.Context, name string) (protocol.ReplicationSlot, error)
}

// PassThrough is a [Cluster] that runs, and has a walsender of its own. Whatever is
// not one of the seven commands of a parallel backup is handed to that, as the
// client wrote it: IDENTIFY_SYSTEM, SHOW and TIMELINE_HISTORY too (§4.9).
type PassThrough interface {
	// DialWALSender opens a replication connection for a session, which keeps it
	// until its own end, and asks for another where PostgreSQL ended it while
	// it was idle. parameters are those of the session's startup packet:
	// none of them is to be trusted. The connection must be one that runs no SQL
	// (replication=true), whatever the session asked for.
	//
	// The error is the answer to the command that needed the connection, and the
	// next command tries again. [errors.ErrUnsupported] says that there is nothing
	// to be passed through: the server then answers what it can by itself.
	DialWALSender(ctx context.Context, parameters map[string]string) (*WALSenderConn, error)
}

// RunningCluster is a [Cluster] that runs, and may remove WAL that a backup still needs.
type RunningCluster interface {
	// WALAccess tells every session at its beginning how WAL can be had (§1.5). It
	// returns at once. [protocol.WALKept] says that the cluster does not run after all.
	WALAccess() protocol.WALAccess

	// PrimaryConnInfo is where a standby that is made of a backup finds the PostgreSQL
	// whose WAL is streamed: a connection string with host and port, as seen from
	// here, and nothing else (§5.15). Each session is told. Empty: not known. It
	// returns at once.
	PrimaryConnInfo() string
}

// BackupChecker is a [Cluster] that knows before a backup whether one can be taken.
type BackupChecker interface {
	// CheckBackup returns the error that StartBackup would return now, as far as it
	// can be known without a checkpoint (§4.9).
	CheckBackup(ctx context.Context) error
}

// WALSenderConn is a connection to PostgreSQL's walsender that waits for a command:
// ReadyForQuery has been read, and not a byte behind it.
type WALSenderConn struct {
	net.Conn
	// Cancel sends a CancelRequest for the connection, and returns when the
	// server has taken note of it.
	Cancel func(context.Context) error
}

// Reopener is a [Cluster] whose directory can be replaced by another while it is
// served, as when a node is made anew: then it is served anew, too.
type Reopener interface {
	// Reopen is the cluster as it is to be served now: a [Cluster] with all its
	// abilities that stays with one directory. (The result has no type here, so that a
	// cluster's package need not import this one.) A session asks for it when it begins,
	// and before each command until it takes part in a backup, which stays where it
	// began. The session calls release once, when it needs the result no more. The error
	// is the answer to the command, or FATAL at the session's beginning.
	//
	// A type that embeds a Reopener, to change some of its methods, needs a Reopen of
	// its own: sessions would get the embedded cluster.
	Reopen(ctx context.Context) (cluster any, release func(), err error)
}

// CheckedFile is a file of a [Cluster] that may become another file while it is read, as
// a WAL segment that is recycled.
type CheckedFile interface {
	fs.File
	// Check is called before each piece that is sent, and before the end is
	// told. Its error ends the file.
	Check() error
}

// VersionedFile is a file of a [Cluster] that lies on disk, so that a digest of the file may be
// kept (§8.3).
type VersionedFile interface {
	fs.File
	// Version is the file's version now. It is zero where it is not known, and where a page
	// that was read was not whole at the first look: a digest is not kept then.
	Version() protocol.FileVersion
}

// DescriptorFile is a file of a [Cluster] that lies on disk as it is to be sent, so that a
// client of the same machine can read it by itself (§8.4). Files whose content is to be
// had by reading them here, as WAL and global/pg_control, are none.
type DescriptorFile interface {
	fs.File
	// Descriptor is a descriptor of the regular file that cannot write to it, and how many
	// bytes from its beginning are to be sent, which Stat tells as well. It is valid until
	// Close, and read at offsets only. ok is false where there is none.
	Descriptor() (fd int, size int64, ok bool)
}

// VerifiedFile is a file of a [Cluster] whose pages are verified as they are read.
// Reads must be of whole pages (a multiple of the block size), but for the last.
type VerifiedFile interface {
	fs.File
	// ChecksumFailures counts the failures found so far.
	ChecksumFailures() int
}

// InPlaceFile is a [VerifiedFile] that may be sent from where it lies, once it was read and
// its pages were verified. A page that changes meanwhile must be one that recovery restores,
// so that it does not matter which state of it is sent.
type InPlaceFile interface {
	VerifiedFile
	// InPlace is a descriptor of the regular file, and the offset there of the last n bytes
	// that were read. ok is false where they are to be sent as they were read: where not
	// each of their pages verified at the first look. The descriptor is valid until Close.
	InPlace(n int) (fd int, offset int64, ok bool)
}

// StandbyPromoted is the answer to a command of a backup that began on a standby which
// has been promoted since (§4.6). The server gives it by [Cluster.InRecovery]; a cluster
// that finds out by itself returns it.
func StandbyPromoted() *protocol.Error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the standby was promoted during online backup").
		WithHint("This means that the backup being taken is corrupt and should not be used. Try taking another online backup.")
}
