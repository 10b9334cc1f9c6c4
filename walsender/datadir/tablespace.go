package datadir

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
	"golang.org/x/sys/unix"
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
		var e *protocol.Error
		if errors.As(err, &e) && e.Code == protocol.CodeUndefinedObject {
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
		oid, valid := protocol.ParseOID(name)
		if !valid {
			continue
		}
		location, err := d.location(name)
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			continue // dropped, or something that is no tablespace
		case err != nil:
			return nil, ioError("read symbolic link", tablespaceList+"/"+name, err)
		}
		list = append(list, protocol.Tablespace{OID: oid, Location: location, Size: -1})
	}
	slices.SortFunc(list, func(a, b protocol.Tablespace) int { return cmp.Compare(a.OID, b.OID) })
	return list, nil
}

func (d *Dir) tablespaceNames() ([]string, error) {
	dir, err := d.root.sub(tablespaceList)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		return nil, ioError("open directory", tablespaceList, err)
	}
	defer dir.close()
	names, err := dir.names(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, ioError("read directory", tablespaceList, err)
	}
	return names, nil
}

// location is where the tablespace's link points, as an absolute path, or pg_tblspc/OID for a
// directory in its place. ENOENT says that there is no such tablespace, ENOTDIR
// that the name is of something else.
func (d *Dir) location(oid string) (string, error) {
	name := tablespaceList + "/" + oid
	location, err := d.root.readlink(name)
	if err == nil {
		return d.absolute(tablespaceList, location), nil
	}
	if !errors.Is(err, unix.EINVAL) {
		return "", err
	}
	st, err := d.root.lstat(name)
	if err == nil && fileType(st) != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	return name, err
}

// openTablespace opens the directory of a tablespace, which holds those of its
// versions. A location that cannot be opened is 58030 in any case: a file system
// that is not mounted must not look like a tablespace that was dropped.
func (d *Dir) openTablespace(t protocol.Tablespace) (*directory, error) {
	if t.InPlace() {
		dir, err := d.root.sub(t.Location)
		if err != nil {
			return nil, ioError("open directory", t.Location, err)
		}
		return dir, nil
	}
	dir, err := openDirectory(t.Location)
	if err != nil {
		return nil, ioError("open directory", t.Location, err)
	}
	return dir, nil
}

// absolute is where a link in a directory of the data directory leads.
func (d *Dir) absolute(parent, target string) string {
	if filepath.IsAbs(target) {
		return target
	}
	return filepath.Join(d.path, parent, target)
}

// findTablespace finds a tablespace by its location or its OID; 42704 if there is
// none. The empty name is the data directory.
func (d *Dir) findTablespace(name string) (protocol.Tablespace, error) {
	if name == "" {
		return protocol.Tablespace{}, nil
	}
	list, err := d.tablespaces()
	if err != nil {
		return protocol.Tablespace{}, err
	}
	for _, t := range list {
		if t.Location == name || strconv.FormatUint(uint64(t.OID), 10) == name {
			return t, nil
		}
	}
	return protocol.Tablespace{}, noTablespace(name)
}

func noTablespace(name string) *protocol.Error {
	return protocol.Errorf(protocol.CodeUndefinedObject, `tablespace "%s" does not exist`, shown(name))
}

// inside is the set of the directories of tablespaces, by which one that lies in
// the data directory is known: its files belong to the tablespace's listing. base,
// global and databases are never taken for one, whatever a link says: their files
// must not be lost. Locations that cannot be read cannot be met either.
func (d *Dir) inside() (map[fileID]bool, error) {
	list, err := d.tablespaces()
	if err != nil {
		return nil, err
	}
	set := make(map[fileID]bool, len(list))
	for _, t := range list {
		var st unix.Stat_t
		if !t.InPlace() && retry(func() error { return unix.Stat(t.Location, &st) }) == nil {
			set[identity(st)] = true
		}
	}
	return set, nil
}
