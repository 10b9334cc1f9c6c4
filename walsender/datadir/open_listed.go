package datadir

import (
	"io/fs"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// keptDirectory is a directory of relations that stays open from one of its files to the next:
// the files of a database are opened in it by their names alone, and one fstat tells whether it
// is as it was listed.
type keptDirectory struct {
	listedDirectory
	dir   beneath.Dir
	users int // who use it now, and the table while it is there; under the table's lock
}

// maxKept bounds how many directories are kept open. Beyond it another one goes.
const maxKept = 64

// openListed is [Dir.Open] for a file of a relation whose directory is as it was listed: the
// directory's status shows that no name has come or gone, so all that Open would look at is known.
// Of every other file it reports false and says nothing.
//
// The directory is held, not looked up again. One that was replaced or moved away is not as it
// was listed: a removal and a renaming change the times of the directory itself. Tablespaces'
// are left to Open, for a directory that is held keeps a file system from being unmounted.
func (d *Dir) openListed(c controlfile.Control, name string, o protocol.OpenOptions) (fs.File, bool) {
	parent := parentOf(name)
	relation, valid := protocol.ParseRelation(name[len(parent)+1:])
	if !valid || d.foldsCase {
		return nil, false
	}
	k := d.listed.hold(d.root, parent)
	if k == nil {
		return nil, false
	}
	defer d.listed.release(k)
	if k.recovers != d.recovers(c) || k.unlogged[relation.Number] {
		return nil, false
	}
	if st, err := k.dir.Lstat("."); err != nil || beneath.StampOf(st) != k.asOf {
		d.listed.drop(parent, k)
		return nil, false
	}
	fd, st, err := k.dir.OpenKnown(name[len(parent)+1:])
	if err != nil {
		return nil, false
	}
	f := file{fd: fd, name: name, stat: st, end: st.Size, cache: traceIfDropped(fd, st.Size, d.options)}
	if c.VerifiesPages() && o.VerifyChecksums {
		return newVerifiedFile(d, c, f, protocol.Tablespace{}, relation, o), true
	}
	plain := f // alone is allocated where it is needed
	return &plain, true
}

// hold is a directory that was listed as one of relations, open: kept, or opened now. It is nil
// where there is none. The caller releases it.
func (l *listedDirectories) hold(root beneath.Dir, path string) *keptDirectory {
	l.mu.Lock()
	if k := l.kept[path]; k != nil {
		k.users++
		l.mu.Unlock()
		return k
	}
	found, known := l.byPath[path]
	l.mu.Unlock()
	if !known || strings.HasPrefix(path, tablespaceList+"/") {
		return nil
	}
	dir, err := root.Sub(path)
	if err != nil {
		return nil
	}
	return l.keep(path, &keptDirectory{listedDirectory: found, dir: dir, users: 1})
}

// keep puts a directory that its caller holds into the table, unless another caller was faster.
func (l *listedDirectories) keep(path string, k *keptDirectory) *keptDirectory {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept[path] != nil {
		return k
	}
	if len(l.kept) >= maxKept {
		for other := range l.kept { // any
			l.letGo(other)
			break
		}
	}
	if l.kept == nil {
		l.kept = map[string]*keptDirectory{}
	}
	l.kept[path] = k
	k.users++
	return k
}

func (l *listedDirectories) release(k *keptDirectory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.leave()
}

// drop forgets a directory that is not as it was listed.
func (l *listedDirectories) drop(path string, k *keptDirectory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept[path] == k {
		l.letGo(path)
	}
	if l.byPath[path].asOf == k.asOf {
		delete(l.byPath, path)
	}
}

// letGo takes a directory out of the table, if it is there. The lock is held.
func (l *listedDirectories) letGo(path string) {
	if k := l.kept[path]; k != nil {
		delete(l.kept, path)
		k.leave()
	}
}

// leave takes a user away, and closes the directory after the last. The table's lock is held.
func (k *keptDirectory) leave() {
	if k.users--; k.users == 0 {
		_ = k.dir.Close() // it was only read
	}
}

// close lets go of all directories.
func (l *listedDirectories) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path := range l.kept {
		l.letGo(path)
	}
}
