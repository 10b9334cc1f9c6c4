package datadir

import (
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// nameBatch is how many names of a directory are read at once.
const nameBatch = 256

// names are those of a directory. They are read ahead of the files' status: the names tell
// which relations are unlogged, and to read them twice would take a quarter of a listing.
type names struct {
	batches [][]string
	asOf    beneath.Stamp // of the directory, from before it was read
	// settled says that the directory was not changed while it was read, nor just before.
	// Otherwise readdir may have told a name twice, or missed it.
	settled bool
}

// read reads the names of an open directory.
func (w *walker) read(dir beneath.Dir) (names, error) {
	before, err := dir.Lstat(".")
	if err != nil {
		return names{}, err
	}
	found := names{asOf: beneath.StampOf(before)}
	for {
		batch, err := w.names(dir, nameBatch)
		if len(batch) > 0 {
			found.batches = append(found.batches, batch)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, unix.ENOENT): // ENOENT: removed under us
			after, err := dir.Lstat(".")
			found.settled = err == nil && beneath.StampOf(after) == found.asOf && isOlder(before.Ctim, w.cacheAge)
			return found, nil
		case err != nil:
			return names{}, err
		}
	}
}

// isOlder reports whether the time is further back than age.
func isOlder(t unix.Timespec, age time.Duration) bool { return time.Since(time.Unix(t.Unix())) > age }

// listedDirectory is what the latest listing has found in a directory of relations: nothing
// but regular files and directories, and which relations are unlogged. It holds for as long as
// the directory's status shows no change. So the files of the many relations of a database
// are opened without another look for each.
type listedDirectory struct {
	asOf     beneath.Stamp
	recovers bool            // a copy did, when it was listed
	unlogged map[uint32]bool // where a copy recovers
}

// listedDirectories are those of a cluster, by their paths in a listing. Sessions share them.
type listedDirectories struct {
	mu     sync.Mutex
	byPath map[string]listedDirectory
	kept   map[string]*keptDirectory // those that are open, of byPath
}

// maxListed bounds how many are kept. The files of others are looked at one by one.
const maxListed = 10_000

func (l *listedDirectories) note(path string, found listedDirectory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letGo(path)
	if l.byPath == nil {
		l.byPath = map[string]listedDirectory{}
	}
	if _, known := l.byPath[path]; known || len(l.byPath) < maxListed {
		l.byPath[path] = found
	}
}

// isAsListed reports whether the directory of a relation's file has nothing that it did not
// have when it was listed, and the relation was not unlogged then. name is the file's path in
// the listing.
func (d *Dir) isAsListed(at *resolvedPath, name string, recovers bool) bool {
	if !at.isRelation {
		return false
	}
	d.listed.mu.Lock()
	found, known := d.listed.byPath[parentOf(name)]
	d.listed.mu.Unlock()
	if !known || found.recovers != recovers || found.unlogged[at.relation.Number] {
		return false
	}
	st, err := at.dir.Lstat(parentOf(at.path))
	return err == nil && beneath.StampOf(st) == found.asOf
}
