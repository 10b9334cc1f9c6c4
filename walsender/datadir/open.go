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
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// Open opens a file of a listing (§4.6): one of [Dir.Files] that is not a
// directory or a link, or one of [Dir.WALFiles]. Reading ends at the size that
// the file has now, or where it was truncated; global/pg_control is read here
// and now, whole and with its checksum right.
//
// A file of a relation is a walsender.VerifiedFile where [controlfile.Control.VerifiesPages] and
// o.VerifyChecksums asks for it. A WAL segment is a walsender.CheckedFile.
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
	c, err := d.recentControl(ctx)
	if err != nil {
		return nil, err
	}
	if f, ok := d.openListed(c, name, o); ok {
		return f, nil
	}
	rules := newRules(d.major, c)
	at, err := d.resolve(rules, name)
	if err != nil {
		return nil, err
	}
	defer at.release()
	if d.foldsCase && at.dir.Misspells(at.path) {
		return nil, gone(name)
	}
	open, listed := at.dir.Open, d.isAsListed(at, name, d.recovers(c))
	if listed {
		open = at.dir.OpenKnown
	}
	fd, st, err := open(at.path)
	if errors.Is(err, beneath.ErrSpecial) && at.directory {
		return nil, protocol.Errorf(protocol.CodeWrongObjectType, `"%s" is a directory`, shown(name))
	}
	if errors.Is(err, unix.ENOENT) && at.owned {
		return nil, d.missing(ctx, at, rules.version(), name)
	}
	if err != nil {
		return nil, openError(name, err)
	}
	f := newFile(fd, name, st).keepCache(d.options)
	if !listed {
		if err := d.checkFork(c, at, name); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	if c.VerifiesPages() && at.isRelation && o.VerifyChecksums {
		return newVerifiedFile(d, c, *f, at.tablespace, at.relation, o), nil
	}
	return f, nil
}

// resolvedPath is a file's path as it is to be opened: beneath a directory.
type resolvedPath struct {
	dir        beneath.Dir
	owned      bool // dir is a tablespace's, to be closed
	path       string
	in         place // of the directory that holds it
	tablespace protocol.Tablespace
	directory  bool // a directory by the rules, even where a link is in its place
	relation   protocol.Relation
	isRelation bool // by name and place
	unlogged   bool // a fork that recovery makes anew if there is an init fork
}

func (p *resolvedPath) release() {
	if p.owned {
		_ = p.dir.Close()
	}
}

// resolve finds what a path stands for, by the rules of the listing. The caller
// releases the result.
func (d *Dir) resolve(r rules, name string) (*resolvedPath, error) {
	p := &resolvedPath{dir: d.root, path: name}
	if err := p.judge(r, name); err != nil {
		return nil, err
	}
	var err error
	if rest, found := strings.CutPrefix(name, tablespaceList+"/"); found {
		err = d.enterTablespace(p, name, rest)
	} else if p.in == elsewhere {
		err = d.checkOutsideTablespaces(name)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// judge goes along the path, name by name; 42501 at the first that is left out.
func (p *resolvedPath) judge(r rules, name string) error {
	p.in = inDataDirectory
	for rest, more := name, true; more; {
		var component string
		component, rest, more = strings.Cut(rest, "/")
		verdict, within := r.judge(p.in, component)
		if verdict == leaveOut || verdict == skip || verdict == keepEmpty && more {
			return notPart(name)
		}
		if !more {
			p.directory = verdict == keepEmpty || within == inTablespace
			break
		}
		p.in = within
	}
	if p.isRelation = protocol.KindOfPath(name) == protocol.PathRelation; p.isRelation {
		p.relation, _ = protocol.ParseRelation(name[strings.LastIndexByte(name, '/')+1:])
	}
	p.unlogged = p.isRelation && r.mayBeUnlogged(p.in) && p.relation.Fork != "init"
	return nil
}

// enterTablespace makes the tablespace's directory the one to open beneath.
func (d *Dir) enterTablespace(p *resolvedPath, name, rest string) error {
	text, within, deeper := strings.Cut(rest, "/")
	oid, valid := protocol.ParseOID(text)
	if !deeper || !valid {
		return nil
	}
	target, err := d.location(text)
	if err != nil {
		return openError(name, err)
	}
	p.tablespace = protocol.Tablespace{OID: oid, Location: target}
	dir, err := d.openTablespace(p.tablespace)
	if err != nil {
		if there, lstatErr := d.root.Exists(tablespaceList + "/" + text); lstatErr == nil && !there {
			return gone(name) // dropped just now
		}
		return err
	}
	p.dir, p.owned, p.path = dir, true, within
	return nil
}

// missing is the answer to a file of a tablespace that is not there. The file alone may
// be gone, or its tablespace: while the tablespace's link exists, a location without the
// cluster's directory is a file system that is not mounted, and no file of it may be
// taken for dropped.
func (d *Dir) missing(ctx context.Context, at *resolvedPath, version, name string) error {
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

// checkOutsideTablespaces refuses a path through the directory of a tablespace that lies
// within the data directory: its files have other paths.
func (d *Dir) checkOutsideTablespaces(name string) error {
	known, err := d.knownTablespaces()
	if err != nil || len(known.directories) == 0 {
		return err
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if st, err := d.root.Lstat(parent); err == nil && known.directories[beneath.IDOf(st)] {
			return notPart(name)
		}
	}
	return nil
}

// checkFork answers that a fork is gone where its relation is unlogged. The relation may
// have become unlogged since the listing, and a copy with the init fork and an old fork
// does not start.
func (d *Dir) checkFork(c controlfile.Control, at *resolvedPath, name string) error {
	if !at.unlogged || !d.recovers(c) {
		return nil
	}
	there, err := at.dir.Exists(join(parentOf(at.path), at.relation.InitFork()))
	switch {
	case err != nil:
		return ioError("stat file", name, err)
	case there:
		return gone(name)
	}
	return nil
}
