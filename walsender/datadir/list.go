package datadir

import (
	"context"
	"errors"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// Files lists what a backup holds of the data directory (tablespace empty), or
// of a tablespace given by its location or its OID (§4.5). Of the directories that are
// being read the names are kept, of the others nothing. What vanishes
// meanwhile is skipped, ENOENT being the only sign of that; everything else that
// cannot be read is 58030, at the end where it is for want of a permission, with all
// the names. An unknown tablespace is 42704. An error is the last
// thing that is yielded. notice, which must not be nil, hears of special files.
func (d *Dir) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		t, err := d.findTablespace(tablespace)
		if err != nil {
			yield(protocol.File{}, err)
			return
		}
		d.files(ctx, t, notice)(yield)
	}
}

// files lists the data directory, for the zero tablespace, or a tablespace.
func (d *Dir) files(ctx context.Context, t protocol.Tablespace, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		w, err := d.newWalker(ctx, t, notice)
		if err != nil {
			yield(protocol.File{}, err)
			return
		}
		w.yield = yield
		if t.OID == 0 {
			err = w.dataDirectory()
		} else {
			err = w.oneTablespace()
		}
		if err == nil {
			err = w.unreadable.err()
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(protocol.File{}, err)
		}
	}
}

// errStopped ends a walk whose rows nobody wants any more.
var errStopped = errors.New("listing stopped")

// walker is one walk through the data directory or a tablespace.
type walker struct {
	ctx         context.Context
	dir         *Dir
	tablespace  protocol.Tablespace
	rules       rules
	recovers    bool                // a copy goes through recovery
	tablespaces map[beneath.ID]bool // their directories, wherever they are
	notice      protocol.NoticeFunc
	yield       func(protocol.File, error) bool
	names       func(d beneath.Dir, n int) ([]string, error) // [beneath.Dir.Names], unless a test plays the file system
	cacheAge    time.Duration                                // the constant, unless a test will not wait
	uid         int                                          // of this process
	unreadable  unreadable
	reading     reading
}

// reading is what is known of the directory that is being read.
type reading struct {
	unlogged map[uint32]bool // the relations of which recovery makes all forks anew, from their init forks
	special  bool            // there is something that is neither a file nor a directory
}

func (d *Dir) newWalker(ctx context.Context, t protocol.Tablespace, notice protocol.NoticeFunc) (*walker, error) {
	c, err := d.Control(ctx)
	if err != nil {
		return nil, err
	}
	known, err := d.knownTablespaces()
	if err != nil {
		return nil, err
	}
	return &walker{
		ctx: ctx, dir: d, tablespace: t, notice: notice, names: beneath.Dir.Names, cacheAge: cacheAge, uid: os.Geteuid(),
		rules: newRules(d.major, c), recovers: d.recovers(c), tablespaces: known.directories,
	}, nil
}

// dataDirectory walks through everything and comes to pg_control in the end
// (§4.8).
func (w *walker) dataDirectory() error {
	root, err := w.dir.root.Sub(".")
	if err != nil {
		return ioError("open directory", w.dir.path, err)
	}
	if err := w.content(root, inDataDirectory, ""); err != nil {
		return err
	}
	st, err := w.dir.root.Lstat(controlName)
	if err != nil {
		return ioError("stat file", controlName, err)
	}
	return w.emit(row(controlName, protocol.TypeFile, st))
}

// oneTablespace walks through the cluster's directory in a tablespace. If that
// is missing while the link is still there, something is wrong with the location.
func (w *walker) oneTablespace() error {
	parent, err := w.dir.openTablespace(w.tablespace)
	if err != nil {
		return w.unlessDropped(err)
	}
	defer parent.Close()
	path := tablespaceLink(w.tablespace.OID) + "/" + w.rules.version()
	dir, st, err := w.versionDirectory(parent)
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if err != nil {
		return w.unlessDropped(lostTablespace(w.tablespace, displayName(w.tablespace, path), err))
	}
	if err := w.emit(row(path, protocol.TypeDirectory, st)); err != nil {
		_ = dir.Close()
		return err
	}
	return w.content(dir, inVersion, path)
}

// settleTime is how long a server may take between the two steps in which it makes a
// tablespace's directories, or removes them.
const settleTime = time.Second

// settleInterval is how often that is looked at.
const settleInterval = 10 * time.Millisecond

// versionDirectory opens the cluster's directory in a tablespace. Where the server
// runs, a directory that is missing may be about to come, or its link about to go.
func (w *walker) versionDirectory(parent beneath.Dir) (beneath.Dir, unix.Stat_t, error) {
	for deadline := time.Now().Add(settleTime); ; {
		st, err := parent.Lstat(w.rules.version())
		if err == nil {
			var dir beneath.Dir
			if dir, err = parent.Sub(w.rules.version()); err == nil {
				return dir, st, nil
			}
		}
		settled := !w.dir.RecoveryOnRestore || !errors.Is(err, unix.ENOENT) || time.Now().After(deadline)
		if settled || w.unlessDropped(nil) != nil {
			return nil, st, err
		}
		select {
		case <-w.ctx.Done():
			return nil, st, err
		case <-time.After(settleInterval):
		}
	}
}

// unlessDropped is err while the tablespace's link exists, else 42704.
func (w *walker) unlessDropped(err error) error {
	oid := strconv.FormatUint(uint64(w.tablespace.OID), 10)
	if there, lstatErr := w.dir.root.Exists(tablespaceList + "/" + oid); lstatErr == nil && !there {
		return noTablespace(oid)
	}
	return err
}

// content walks through an open directory and closes it.
func (w *walker) content(dir beneath.Dir, in place, path string) error {
	defer dir.Close()
	found, err := w.read(dir)
	if err != nil {
		return ioError("read directory", displayName(w.tablespace, path), err)
	}
	defer func(outer reading) { w.reading = outer }(w.reading)
	w.reading = reading{unlogged: w.unloggedAmong(found, in)}
	if err := w.entries(dir, found, in, path); err != nil {
		return err
	}
	if found.settled && !w.reading.special && (in == inDatabase || in == inGlobal) {
		w.dir.listed.note(path, listedDirectory{asOf: found.asOf, recovers: w.recovers, unlogged: w.reading.unlogged})
	}
	return nil
}

// entries lists what the directory has under the names that were found.
func (w *walker) entries(dir beneath.Dir, found names, in place, path string) error {
	var seen *seenNames
	if !found.settled {
		seen = newSeenNames(expectedNames(in, path))
	}
	for _, batch := range found.batches {
		for _, name := range batch {
			if seen != nil {
				if isNew, err := seen.add(dir, name); err != nil {
					return ioError("read directory", displayName(w.tablespace, path), err)
				} else if !isNew {
					continue
				}
			}
			if err := w.entry(dir, in, path, name); err != nil {
				return err
			}
		}
	}
	if seen != nil {
		return w.missed(dir, in, path, seen)
	}
	return nil
}

// missed lists the names that PostgreSQL cannot do without and readdir did not tell. A
// file that is replaced while the directory is read may be missed under both its names.
func (w *walker) missed(dir beneath.Dir, in place, path string, seen *seenNames) error {
	for _, name := range expectedNames(in, path) {
		if seen.expected[name] {
			continue
		}
		if err := w.entry(dir, in, path, name); err != nil {
			return err
		}
	}
	return nil
}

// entry lists what a directory has under the name, with all that it holds.
func (w *walker) entry(dir beneath.Dir, in place, parent, name string) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	verdict, within := w.rules.judge(in, name)
	path := join(parent, name)
	switch {
	case verdict == leaveOut, in == inGlobal && name == "pg_control":
		return nil
	case verdict == skip:
		w.notice(protocol.Warningf(`skipping "%s", which belongs to the file system`, shown(displayName(w.tablespace, path))))
		return nil
	}
	if w.isUnlogged(in, name) {
		return nil
	}
	st, err := dir.Lstat(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return wrapStat(w.tablespace, path, err)
	}
	switch kind := beneath.FileType(st); {
	case kind == unix.S_IFREG:
		return w.file(dir, path, name, st)
	case kind == unix.S_IFLNK && within == inTablespace:
		return w.emit(row(path, protocol.TypeLink, st))
	case verdict == keepEmpty && (kind == unix.S_IFDIR || kind == unix.S_IFLNK):
		return w.emptied(within, path, st)
	case kind == unix.S_IFDIR:
		return w.directory(dir, within, path, name, st)
	case kind == unix.S_IFLNK && (in.own() || within.own()):
		// PostgreSQL skips it with a warning; the backup would lack a part of the
		// cluster, and succeed.
		return protocol.Errorf(protocol.CodeIOError, `"%s" is a symbolic link, which a backup cannot hold`, shown(displayName(w.tablespace, path))).
			WithHint("Put what it points to in its place. Only tablespaces and pg_wal may be elsewhere.")
	}
	w.reading.special = true
	w.notice(protocol.Warningf(`skipping special file "%s"`, shown(displayName(w.tablespace, path))))
	return nil
}

// file lists a file. One that cannot be read is found out now, not when all that comes
// before it has been copied.
func (w *walker) file(dir beneath.Dir, path, name string, st unix.Stat_t) error {
	switch err := w.checkReadable(dir, name, st); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		w.unreadable.add(displayName(w.tablespace, path))
	}
	return w.emit(row(path, protocol.TypeFile, st))
}

// directory lists a directory and what it holds, but for a tablespace: that has
// its own listing.
func (w *walker) directory(dir beneath.Dir, within place, path, name string, st unix.Stat_t) error {
	if err := w.emit(row(path, protocol.TypeDirectory, st)); err != nil {
		return err
	}
	if within == inTablespace || within == elsewhere && w.tablespaces[beneath.IDOf(st)] {
		return nil
	}
	sub, err := dir.Sub(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EACCES):
		w.unreadable.add(displayName(w.tablespace, path))
		return nil
	case err != nil:
		return ioError("open directory", displayName(w.tablespace, path), err)
	}
	return w.content(sub, within, path)
}

// emptied lists a directory without what it holds. A link in its place becomes
// one. In pg_wal the server wants to find some.
func (w *walker) emptied(within place, path string, st unix.Stat_t) error {
	if err := w.emit(row(path, protocol.TypeDirectory, st)); err != nil || within != inWAL {
		return err
	}
	for _, name := range w.rules.walDirectories() {
		if err := w.emit(row(join(path, name), protocol.TypeDirectory, st)); err != nil {
			return err
		}
	}
	return nil
}

// unloggedAmong are the relations with an init fork among the names of a directory. A
// relation that becomes unlogged only now is listed, and found when its files are opened, or
// by the client's next list (§5.14).
func (w *walker) unloggedAmong(found names, in place) map[uint32]bool {
	if !w.recovers || !w.rules.mayBeUnlogged(in) {
		return nil
	}
	unlogged := map[uint32]bool{}
	for _, batch := range found.batches {
		for _, name := range batch {
			if !strings.HasSuffix(name, "_init") {
				continue
			}
			if r, valid := protocol.ParseRelation(name); valid && r.Fork == "init" && r.Segment == 0 {
				unlogged[r.Number] = true
			}
		}
	}
	return unlogged
}

// isUnlogged reports whether the file is one of an unlogged relation that recovery
// makes anew.
func (w *walker) isUnlogged(in place, name string) bool {
	if len(w.reading.unlogged) == 0 || !w.rules.mayBeUnlogged(in) {
		return false
	}
	r, valid := protocol.ParseRelation(name)
	return valid && r.Fork != "init" && w.reading.unlogged[r.Number]
}

func (w *walker) emit(f protocol.File) error {
	if !w.yield(f, nil) {
		return errStopped
	}
	return nil
}

func wrapStat(t protocol.Tablespace, path string, err error) error {
	if err == nil {
		return nil
	}
	return ioError("stat file or directory", displayName(t, path), err)
}

// parentOf is the path of the directory that holds a path; empty for the data directory.
func parentOf(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}

// displayName is a path as PostgreSQL's messages show it: beginning with "./" in
// the data directory, absolute in a tablespace.
func displayName(t protocol.Tablespace, path string) string {
	prefix := tablespaceLink(t.OID)
	if rest, within := strings.CutPrefix(path, prefix); within && t.OID != 0 && !t.InPlace() {
		return t.Location + rest
	}
	return "./" + path
}
