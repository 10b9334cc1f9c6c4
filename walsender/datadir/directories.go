package datadir

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// CheckDirectories is 55000 where one of the directories is gone without which PostgreSQL does
// not start ([protocol.NeededDirectories]): a copy would be worthless. Links are
// followed.
func (d *Dir) CheckDirectories() error {
	for _, path := range protocol.NeededDirectories(d.major) {
		st, err := d.root.Stat(path)
		switch {
		case errors.Is(err, unix.ENOENT), err == nil && beneath.FileType(st) != unix.S_IFDIR:
			return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "directory %q is missing, and PostgreSQL %d does not start without it", path, d.major).
				WithHint("The data directory is damaged, and so would be its backup. Restore it, or make the directory where it was empty.")
		case err != nil:
			return ioError("stat directory", path, err)
		}
	}
	return nil
}
