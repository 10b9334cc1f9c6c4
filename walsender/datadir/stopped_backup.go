package datadir

import (
	"bytes"
	"context"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// stoppedBackup is a backup of a stopped cluster, with what must not have changed at
// its end. The cluster itself knows nothing of it.
type stoppedBackup struct {
	cluster    *Stopped
	control    controlFile // at the start
	postmaster []byte      // postmaster.pid at the start, nil for none
	stop       protocol.BackupStop
}

// Stop tells where the WAL of the backup ends. It fails with 55000 where the cluster is
// not what it was at the start: its server was started, or the directory is another.
// There is no archiving to wait for.
func (b *stoppedBackup) Stop(ctx context.Context, _ bool, _ protocol.NoticeFunc) (protocol.BackupStop, error) {
	if err := b.checkUnchanged(ctx); err != nil {
		return protocol.BackupStop{}, err
	}
	return b.stop, nil
}

// Abort has nothing to undo.
func (b *stoppedBackup) Abort() {}

// Lost is nil: no server runs that could end the backup.
func (b *stoppedBackup) Lost() <-chan *protocol.BackupLostError { return nil }

// checkUnchanged compares the cluster with what it was at the backup's start.
func (b *stoppedBackup) checkUnchanged(ctx context.Context) error {
	changed := func(what string) error {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the cluster changed during the backup: %s", what).
			WithHint("This means that the backup being taken is corrupt and should not be used. Keep the server stopped, or use --cluster, and take another backup.")
	}
	postmaster, err := b.cluster.postmaster()
	switch {
	case err != nil:
		return err
	case postmaster != nil && b.postmaster == nil:
		return changed("postmaster.pid appeared")
	case !bytes.Equal(postmaster, b.postmaster):
		return changed("postmaster.pid is another")
	}
	if same, err := b.cluster.samePath(); err != nil || !same {
		return changed("the data directory was replaced")
	}
	_, file, err := b.cluster.readControl(ctx, controlfile.Size)
	if err := controlError(ctx, err); err != nil {
		return err
	}
	switch {
	case !bytes.Equal(file.data, b.control.data):
		return changed("pg_control is another")
	case !file.sameAs(b.control):
		// Whatever was done meanwhile was undone, as by a rollback to a snapshot.
		return changed("pg_control was written")
	}
	return nil
}
