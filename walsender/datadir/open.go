package datadir

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// Open opens a file of a listing (§4.6): one of [Dir.Files] that is not a
// directory or a link, or one of [Dir.WALFiles]. Reading ends at the size that
// the file has now, or where it was truncated; global/pg_control is read here
// and now, whole and with its checksum right.
//
// A file of a relation, where [Control.VerifiesPages], is a walsender.VerifiedFile if o.VerifyChecksums asks for it; a WAL
// segment is a walsender.CheckedFile.
//
// Errors: 22023 for a path against the rules, 42501 for one that no listing
// shows, 42809 for a directory or the link of a tablespace, 58P01 for a file that
// is gone (a fork of a relation that has become unlogged counts as gone where the
// copy is recovered), 58030 for every other failure.
func (d *Dir) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if err := protocol.CheckPath(name); err != nil {
		return nil, err
	}
	if within, found := strings.CutPrefix(name, "pg_wal/"); found {
		return d.openWAL(ctx, within)
	}
	if name == controlName {
		return d.openControl(ctx)
	}
	c, err := d.Control(ctx)
	if err != nil {
		return nil, err
	}
	rules := newRules(d.major, c)
	at, err := d.locate(rules, name)
	if err != nil {
		return nil, err
	}
	defer at.release()
	if d.foldsCase && at.dir.Misspells(at.path) {
		return nil, gone(name)
	}
	fd, st, err := at.dir.Open(at.path)
	if errors.Is(err, beneath.ErrSpecial) && at.directory {
		return nil, protocol.Errorf(protocol.CodeWrongObjectType, `"%s" is a directory`, shown(name))
	}
	if errors.Is(err, unix.ENOENT) && at.owned {
		return nil, d.missing(ctx, at, rules.version, name)
	}
	if err != nil {
		return nil, openError(name, err)
	}
	f := newFile(fd, name, st)
	if err := d.checkFork(c, at, name); err != nil {
		_ = f.Close()
		return nil, err
	}
	if verifies, _ := c.VerifiesPages(); verifies && at.isRelation && o.VerifyChecksums {
		return newVerifiedFile(d, c, f, at, o), nil
	}
	return f, nil
}

// location is a file's path as it is to be opened: beneath a directory.
type location struct {
	dir        *beneath.Dir
	owned      bool // dir is a tablespace's, to be closed
	path       string
	in         place // of the directory that holds it
	tablespace protocol.Tablespace
	directory  bool // a directory by the rules, even where a link is in its place
	relation   protocol.Relation
	isRelation bool // by name and place
	unlogged   bool // a fork that recovery makes anew if there is an init fork
}

func (l *location) release() {
	if l.owned {
		_ = l.dir.Close()
	}
}

// locate finds what a path stands for, by the rules of the listing. The caller
// releases the result.
func (d *Dir) locate(r rules, name string) (*location, error) {
	l := &location{dir: d.root, path: name}
	if err := l.judge(r, name); err != nil {
		return nil, err
	}
	var err error
	if rest, found := strings.CutPrefix(name, tablespaceList+"/"); found {
		err = d.enterTablespace(l, name, rest)
	} else if l.in == elsewhere {
		err = d.checkInside(name)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// judge goes along the path, name by name; 42501 at the first that is left out.
func (l *location) judge(r rules, name string) error {
	l.in = inDataDirectory
	for rest, more := name, true; more; {
		var component string
		component, rest, more = strings.Cut(rest, "/")
		verdict, within := r.judge(l.in, component)
		if verdict == leaveOut || verdict == skip || verdict == keepEmpty && more {
			return notPart(name)
		}
		if !more {
			l.directory = verdict == keepEmpty || within == inTablespace
			break
		}
		l.in = within
	}
	if l.isRelation = protocol.KindOfPath(name) == protocol.PathRelation; l.isRelation {
		l.relation, _ = protocol.ParseRelation(path.Base(name))
	}
	l.unlogged = l.isRelation && r.mayBeUnlogged(l.in) && l.relation.Fork != "init"
	return nil
}

// enterTablespace makes the tablespace's directory the one to open beneath.
func (d *Dir) enterTablespace(l *location, name, rest string) error {
	text, within, deeper := strings.Cut(rest, "/")
	oid, valid := protocol.ParseOID(text)
	if !deeper || !valid {
		return nil
	}
	target, err := d.location(text)
	if err != nil {
		return openError(name, err)
	}
	l.tablespace = protocol.Tablespace{OID: oid, Location: target}
	dir, err := d.openTablespace(l.tablespace)
	if err != nil {
		if there, lstatErr := d.root.Exists(tablespaceList + "/" + text); lstatErr == nil && !there {
			return gone(name) // dropped just now
		}
		return err
	}
	l.dir, l.owned, l.path = dir, true, within
	return nil
}

// missing tells a file that is gone from a whole tablespace that is: while its link
// exists, a location without the cluster's directory is a file system that is not
// mounted, and no file of it may be taken for dropped.
func (d *Dir) missing(ctx context.Context, at *location, version, name string) error {
	link := tablespaceLink(at.tablespace.OID)
	for deadline := time.Now().Add(settleTime); ; {
		if there, err := at.dir.Exists(version); err == nil && there {
			return gone(name)
		}
		if linked, err := d.root.Exists(link); err == nil && !linked {
			return gone(name)
		}
		// A server that drops a tablespace removes its link last.
		if !d.RecoveryOnRestore || time.Now().After(deadline) {
			return lostTablespace(at.tablespace, join(at.tablespace.Location, version), unix.ENOENT)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(settleInterval):
		}
	}
}

// checkInside refuses a path that leads through a tablespace's directory inside
// the data directory: its files have other paths.
func (d *Dir) checkInside(name string) error {
	known, err := d.knownTablespaces()
	if err != nil || len(known.inside) == 0 {
		return err
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if st, err := d.root.Lstat(parent); err == nil && known.inside[beneath.IDOf(st)] {
			return notPart(name)
		}
	}
	return nil
}

// checkFork looks once more whether the relation is an unlogged one. It may have
// become one since the listing, and a copy that has both its init fork and an old
// fork does not start.
func (d *Dir) checkFork(c Control, at *location, name string) error {
	if !at.unlogged || !d.recovers(c) {
		return nil
	}
	there, err := at.dir.Exists(join(strings.TrimSuffix(path.Dir(at.path), "."), at.relation.InitFork()))
	switch {
	case err != nil:
		return ioError("stat file", name, err)
	case there:
		return gone(name)
	}
	return nil
}
