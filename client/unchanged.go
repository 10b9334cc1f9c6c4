package client

import (
	"context"
	"fmt"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// checkUnchanged lists the files once more where no server wrote while they were copied,
// and makes sure that each is there as it was listed first (§5.2): no WAL makes up for what
// an administrator, or another tool, changed meanwhile.
func (b *backup) checkUnchanged(context.Context) error {
	if b.replayed() {
		return nil
	}
	found, changed := 0, ""
	err := b.listAgain(func(f protocol.File) error {
		i, copied := b.listing.Find(f.Path)
		if !copied || f.Type != protocol.TypeFile {
			return nil
		}
		known := b.listing.Files.At(i)
		if protocol.KindOfPath(f.Path) == protocol.PathForeign {
			return nil
		}
		found++
		again := known.Takes > 0 // it was seen to change, and was asked for again
		if !again && (f.Size != known.Size || f.ModTime.Unix() != known.ModTime) {
			changed = f.Path
		}
		return nil
	})
	switch missing := ownFiles(b.listing) - found; {
	case err != nil:
		return err
	case changed != "":
		return fmt.Errorf("file %q was changed during the backup, and there is no recovery that could make up for it", changed)
	case missing > 0:
		return fmt.Errorf("%d files were removed during the backup, and there is no recovery that could make up for it", missing)
	}
	return nil
}

// ownFiles is the number of the files that are PostgreSQL's, global/pg_control excepted.
func ownFiles(l *output.Listing) int {
	own := 0
	for i := range int32(l.Files.Len()) {
		if protocol.KindOfPath(l.Files.At(i).Path) != protocol.PathForeign {
			own++
		}
	}
	return own
}
