package protocol

import "context"

// BackupRequest is what START_BACKUP asks of a cluster (§4.1). The id of the backup, a
// secret, stays with the server.
type BackupRequest struct {
	Label  string     // at most 1024 bytes, no control characters
	Fast   bool       // an immediate checkpoint instead of a spread one
	Notice NoticeFunc // where the cluster's notices go; never nil
}

// StartPoint is where a backup begins, as its cluster knows it (§4.1).
type StartPoint struct {
	StartPtr LSN
	Timeline Timeline
	// Label is the backup_label file, empty where the cluster cannot know it
	// yet or has none. The one of [BackupStop] is what counts.
	Label string
	// StopUnknown says that the stop will tell no StopPtr: the backup needs all WAL from
	// StartPtr on.
	StopUnknown bool
}

// RunningBackup is a backup that a cluster has begun: the cluster is in backup mode
// until Stop or Abort has returned. One goroutine uses it.
type RunningBackup interface {
	// Stop ends the backup, and is called at most once. With wait it returns when
	// the WAL that the backup needs is archived, where the cluster archives. Notices
	// that come meanwhile go to notice, which is never nil. Whether it fails or not,
	// the backup is over when it returns. Of a backup that the cluster has lost the
	// error is a *[BackupLostError].
	Stop(ctx context.Context, wait bool, notice NoticeFunc) (BackupStop, error)

	// Abort ends the backup without a result. It does nothing once Stop or Abort
	// has been called.
	Abort()

	// Lost is asked once, before Stop and Abort. The channel gets the reason as soon
	// as it is known that the cluster has left backup mode without having been told
	// to, as when PostgreSQL is restarted. It gets nothing when the backup is stopped
	// or aborted, and is nil where a backup cannot be lost.
	Lost() <-chan *BackupLostError
}

// BackupLostError says why a cluster has lost a backup. The leader is told that the
// backup was aborted, with the Detail (§3.5).
type BackupLostError struct {
	Detail string // a sentence for the peer, as in "The connection to the cluster was lost."
}

func (e *BackupLostError) Error() string { return "the cluster has lost the backup: " + e.Detail }

// OpenOptions say how a cluster opens a file for SEND_FILE (§4.6).
type OpenOptions struct {
	// StartPtr is the backup's start. A page that is not whole is no failure if its
	// LSN lies between StartPtr and where the cluster's WAL now is: recovery
	// replaces it. Zero means that no LSN is an excuse.
	StartPtr LSN
	// WALEnd is where the WAL is known to end that a copy replays, as in a backup; zero
	// where it goes on. A page beyond it is damaged.
	WALEnd LSN
	// VerifyChecksums asks for the verification of the pages of relation files,
	// where the cluster has checksums.
	VerifyChecksums bool
	// Notice receives the warnings about pages, while the file is read; never nil.
	Notice NoticeFunc
}
