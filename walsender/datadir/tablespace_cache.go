package datadir

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// tablespaceCache keeps the tablespaces that were found for as long as pg_tblspc stays as
// it is, so that a command costs the same however many tablespaces there are.
// LIST_TABLESPACES does not use it.
type tablespaceCache struct {
	mu    sync.Mutex
	asOf  beneath.Stamp // of pg_tblspc
	known knownTablespaces
}

// knownTablespaces are the tablespaces of a moment. They are never changed.
type knownTablespaces struct {
	list []protocol.Tablespace

	// directories are those of the tablespaces, wherever they are. A walk of the data
	// directory recognizes by them a tablespace that lies within: its files belong to
	// the tablespace's own listing. base, global and databases are never taken for a
	// tablespace, whatever a link says: their files must not be lost. A location that
	// cannot be read is left out, since no walk can come to it.
	directories map[beneath.ID]bool
}

// cacheAge is how old the last change of a directory must be before the directory's times
// can be trusted to show the next one: more than a tick of a file system's clock.
const cacheAge = 2 * time.Second

// knownTablespaces finds the tablespaces, anew where pg_tblspc has changed.
func (d *Dir) knownTablespaces() (knownTablespaces, error) {
	st, err := d.root.Lstat(tablespaceList)
	switch {
	case errors.Is(err, unix.ENOENT):
		return knownTablespaces{}, nil
	case err != nil:
		return knownTablespaces{}, ioError("stat directory", tablespaceList, err)
	}
	c := &d.known
	c.mu.Lock()
	known, fresh := c.known, c.asOf == beneath.StampOf(st)
	c.mu.Unlock()
	if fresh {
		return known, nil
	}
	if known, err = d.readTablespaces(); err != nil {
		return knownTablespaces{}, err
	}
	if isOlder(st.Ctim, cacheAge) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asOf, c.known = beneath.StampOf(st), known
	}
	return known, nil
}

func (d *Dir) readTablespaces() (knownTablespaces, error) {
	list, err := d.tablespaces()
	if err != nil {
		return knownTablespaces{}, err
	}
	known := knownTablespaces{list: list, directories: make(map[beneath.ID]bool, len(list))}
	for _, t := range list {
		if t.InPlace() {
			continue
		}
		if st, err := d.root.Stat(tablespaceLink(t.OID)); err == nil {
			known.directories[beneath.IDOf(st)] = true
		}
	}
	return known, nil
}
