package datadir

import (
	"cmp"
	"context"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// tablespaceList is the directory of the tablespaces' links.
const tablespaceList = "pg_tblspc"

// Tablespaces lists the tablespaces by OID, and the data directory last (§4.4).
// A size is what LIST_FILES shows of the tablespace, in kB of 1024 bytes; finding
// it out reads all its directories. A tablespace that is dropped meanwhile is
// left out.
func (d *Dir) Tablespaces(ctx context.Context, sizes bool) ([]protocol.Tablespace, error) {
	list, err := d.tablespaces()
	if err != nil {
		return nil, err
	}
	list = append(list, protocol.Tablespace{Size: -1})
	if !sizes {
		return list, nil
	}
	kept := list[:0]
	for _, t := range list {
		t.Size, err = d.size(ctx, t)
		if protocol.HasCode(err, protocol.CodeUndefinedObject) {
			continue
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, t)
	}
	return kept, nil
}

// size adds up the files of a listing, in kB.
func (d *Dir) size(ctx context.Context, t protocol.Tablespace) (int64, error) {
	var bytes int64
	for f, err := range d.files(ctx, t, func(*protocol.Error) {}) {
		if err != nil {
			return 0, err
		}
		bytes += f.Size
	}
	return bytes / 1024, nil
}

// tablespaces reads pg_tblspc: links, and directories for in-place tablespaces.
func (d *Dir) tablespaces() ([]protocol.Tablespace, error) {
	names, err := d.tablespaceNames()
	if err != nil {
		return nil, err
	}
	var list []protocol.Tablespace
	for _, name := range names {
		switch t, err := d.tablespace(name); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			continue // dropped, or something that is no tablespace
		case err != nil:
			return nil, ioError("read symbolic link", tablespaceList+"/"+name, err)
		default:
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b protocol.Tablespace) int { return cmp.Compare(a.OID, b.OID) })
	return list, nil
}

func (d *Dir) tablespaceNames() ([]string, error) {
	dir, err := d.root.Sub(tablespaceList)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		return nil, ioError("open directory", tablespaceList, err)
	}
	defer dir.Close()
	names, err := dir.AllNames()
	if err != nil {
		return nil, ioError("read directory", tablespaceList, err)
	}
	return names, nil
}

// tablespace is what has the name in pg_tblspc. ENOENT says that there is nothing,
// ENOTDIR that it is no tablespace.
func (d *Dir) tablespace(name string) (protocol.Tablespace, error) {
	oid, valid := protocol.ParseOID(name)
	if !valid {
		return protocol.Tablespace{}, unix.ENOTDIR
	}
	location, err := d.location(name)
	return protocol.Tablespace{OID: oid, Location: location, Size: -1}, err
}

// location is where the tablespace's link points, as an absolute path, or
// pg_tblspc/OID for a directory in its place. ENOENT says that there is no such
// tablespace, ENOTDIR that the name is of something else.
func (d *Dir) location(oid string) (string, error) {
	name := tablespaceList + "/" + oid
	target, err := d.root.Readlink(name)
	if err == nil {
		return d.absolute(name, target), nil
	}
	if !errors.Is(err, unix.EINVAL) {
		return "", err
	}
	st, err := d.root.Lstat(name)
	if err == nil && beneath.FileType(st) != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	return name, err
}

// absolute is where a link in the data directory leads: its target as it is written,
// or, where that is relative, the directory that the kernel finds. One that leads
// nowhere is told in the link's words.
func (d *Dir) absolute(link, target string) string {
	if filepath.IsAbs(target) {
		return target
	}
	if found, err := filepath.EvalSymlinks(d.path + "/" + link); err == nil {
		return found
	}
	return d.path + "/" + path.Dir(link) + "/" + target
}

// openTablespace opens the directory of a tablespace, which holds those of its
// versions. A location that cannot be opened is 58030 in any case: a file system
// that is not mounted must not look like a tablespace that was dropped.
func (d *Dir) openTablespace(t protocol.Tablespace) (beneath.Dir, error) {
	dir, err := d.root.Follow(tablespaceLink(t.OID))
	if err != nil {
		return nil, lostTablespace(t, t.Location, err)
	}
	return dir, nil
}

// tablespaceLink is the path of a tablespace's link.
func tablespaceLink(oid uint32) string {
	return tablespaceList + "/" + strconv.FormatUint(uint64(oid), 10)
}

// lostTablespace is the answer to a tablespace whose directory cannot be opened.
func lostTablespace(t protocol.Tablespace, directory string, err error) *protocol.Error {
	return ioError("open directory", directory, err).
		WithHint(`Tablespace %d is in "%s". Mount its file system, make it readable, or drop the tablespace if it is lost.`, t.OID, shown(t.Location))
}

// findTablespace finds a tablespace by its location or its OID; 42704 if there is
// none. The empty name is the data directory.
func (d *Dir) findTablespace(name string) (protocol.Tablespace, error) {
	if name == "" {
		return protocol.Tablespace{}, nil
	}
	if t, err := d.tablespace(name); err == nil {
		return t, nil
	}
	known, err := d.knownTablespaces()
	if err != nil {
		return protocol.Tablespace{}, err
	}
	for _, t := range known.list {
		if t.Location == name {
			return t, nil
		}
	}
	return protocol.Tablespace{}, noTablespace(name)
}

func noTablespace(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedObject, `tablespace "%s" does not exist`, shown(name))
}
