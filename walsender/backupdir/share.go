package backupdir

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// share makes sure that nobody refreshes the backup as long as the file that it returns is
// open: a refresh has an exclusive lock on pg_control, by whatever path it has found the directory.
// So no backup is refreshed from itself, which would leave nothing of it. In archives, and on file
// systems without locks, the file is nil: archives cannot be refreshed.
func (b *Backup) share() (datadir.ContentFile, error) {
	f, err := b.OpenFile(controlFile)
	if err != nil {
		return nil, ioError(err)
	}
	d, is := f.(interface{ Descriptor() (int, int64, bool) })
	if !is {
		return nil, f.Close()
	}
	fd, _, whole := d.Descriptor()
	if !whole {
		return nil, f.Close()
	}
	switch err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, protocol.Errorf(protocol.CodeObjectInUse, "the backup is being refreshed by another process").
			WithHint("A backup cannot be refreshed from itself. If another refresh is at work, wait until it is finished.")
	}
	return nil, f.Close()
}
