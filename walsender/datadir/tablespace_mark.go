package datadir

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// TablespaceMark is what pg_tblspc was at a moment, for [Dir.TablespacePassed].
type TablespaceMark struct {
	asOf beneath.Stamp
	list []protocol.Tablespace
}

// MarkTablespaces notes which tablespaces there are.
func (d *Dir) MarkTablespaces() (TablespaceMark, error) {
	st, err := d.root.Lstat(tablespaceList)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return TablespaceMark{}, ioError("stat directory", tablespaceList, err)
	}
	list, err := d.tablespaces()
	return TablespaceMark{beneath.StampOf(st), list}, err
}

// TablespacePassed reports whether a tablespace is known to have been made and dropped
// since: pg_tblspc has changed, and its tablespaces are the same. Where others have come
// or gone for good meanwhile it cannot be known, and is false.
func (d *Dir) TablespacePassed(since TablespaceMark) (bool, error) {
	now, err := d.MarkTablespaces()
	return now.asOf != since.asOf && slices.Equal(now.list, since.list), err
}
