package archive

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

const (
	mapFile        = "tablespace_map"
	manifestFile   = "backup_manifest"
	tablespaceList = "pg_tblspc"
	walDirectory   = "pg_wal"

	// maxMap is more than tablespace_map will ever have, in bytes.
	maxMap = 16 << 20
)

// ErrCompressed is the error of an archive that is compressed.
var ErrCompressed = errors.New("is compressed")

// Root is the data directory in archives.
type Root struct{ dir }

// Open opens the archives that lie in a directory, and reads their headers. Whatever else
// lies there is none of the backup, but for backup_manifest. The error is one line that says
// what is wrong with which archive. The directory is closed with the root, or with the error.
func Open(in beneath.Dir) (*Root, error) {
	t := &tree{in: in}
	if err := t.read(in); err != nil {
		_ = t.close() // they were only read
		return nil, err
	}
	return &Root{dir{tree: t, node: t.root}}, nil
}

// Close closes the archives. Files that were opened in them stay open.
func (r *Root) Close() error { return r.tree.close() }

// Unchanged reports whether the archives are those that were opened, and as they were.
func (r *Root) Unchanged() (bool, error) {
	for _, a := range r.tree.archives {
		st, err := r.tree.in.Lstat(a.name)
		if err != nil || !a.file.Is(st) {
			return false, err
		}
	}
	return true, nil
}

// read reads all archives: that of the data directory first, for it says which others there
// are to be.
func (t *tree) read(in beneath.Dir) error {
	names, err := archiveNames(in)
	if err != nil {
		return err
	}
	if t.stat, err = in.Lstat("."); err != nil {
		return err
	}
	g := newGrowing()
	t.root = g.root
	base, found := names[protocol.ArchiveName{}]
	if !found {
		return fmt.Errorf("archive %q is missing", "base.tar")
	}
	if err := t.readArchive(in, g, base, "."); err != nil {
		return err
	}
	delete(names, protocol.ArchiveName{})
	if err := t.readTablespaces(in, g, names); err != nil {
		return err
	}
	if wal, found := names[protocol.ArchiveName{WAL: true}]; found {
		if err := t.readArchive(in, g, wal, walDirectory); err != nil {
			return err
		}
	}
	if err := t.addManifest(in, g); err != nil {
		return err
	}
	if base := g.directories["base"]; base != nil {
		t.root.mode = base.mode // it has none of its own in an archive
	}
	return g.finish()
}

// archiveNames are the archives in a directory.
func archiveNames(in beneath.Dir) (map[protocol.ArchiveName]string, error) {
	all, err := in.AllNames()
	if err != nil {
		return nil, err
	}
	names := map[protocol.ArchiveName]string{}
	for _, name := range all {
		a, ok := protocol.ParseArchiveName(name)
		switch {
		case !ok:
		case a.Compression != "":
			return nil, fmt.Errorf("archive %q %w with %s: files cannot be read where they lie in it; unpack it", name, ErrCompressed, a.Compression)
		default:
			names[a] = name
		}
	}
	return names, nil
}

func (t *tree) readArchive(in beneath.Dir, g *growing, name, below string) error {
	f, st, err := in.Open(name)
	if err != nil {
		return fmt.Errorf("could not open archive %q: %w", name, err)
	}
	a := &source{name: name, file: f, stat: st}
	t.archives = append(t.archives, a)
	if err := g.read(a, below); err != nil {
		return fmt.Errorf("could not read archive %q: %w", name, err)
	}
	return nil
}

// readTablespaces reads the archives of tablespaces. What is in one that was elsewhere is
// found by its link alone; one in place has its directory.
func (t *tree) readTablespaces(in beneath.Dir, g *growing, names map[protocol.ArchiveName]string) error {
	links, err := t.links(g)
	if err != nil {
		return err
	}
	for a, name := range names {
		if a.WAL {
			continue
		}
		oid := strconv.FormatUint(uint64(a.Tablespace), 10)
		below := path.Join(tablespaceList, oid)
		if link := links[oid]; link != nil {
			below = "/" + oid // no path leads there
			link.target = g.newNode(oid, unix.S_IFDIR)
			g.directories[below] = link.target
		} else {
			g.directory(below) // from 16 on base.tar says nothing of one in place
		}
		if err := t.readArchive(in, g, name, below); err != nil {
			return err
		}
	}
	for oid, link := range links {
		if link.target == nil {
			return fmt.Errorf("archive %q is missing: tablespace %s was in %q", oid+".tar", oid, protocol.Shorten(link.link, 256))
		}
	}
	return nil
}

// links are the links of the tablespaces, by OID. Where there is a tablespace_map, it says
// where they lead, and recovery makes those that are not there.
func (t *tree) links(g *growing) (map[string]*node, error) {
	links := map[string]*node{}
	if list := g.directories[tablespaceList]; list != nil {
		for _, n := range list.children {
			if _, valid := protocol.ParseOID(n.name); valid && n.kind == unix.S_IFLNK {
				links[n.name] = n
			}
		}
	}
	locations, err := t.mapped(g)
	if err != nil {
		return nil, err
	}
	for oid, location := range locations {
		if links[oid] == nil {
			links[oid] = g.add(path.Join(tablespaceList, oid), node{kind: unix.S_IFLNK, archive: t.archives[0]})
		}
		links[oid].link = location
	}
	for oid := range links {
		if _, found := locations[oid]; locations != nil && !found {
			return nil, fmt.Errorf("tablespace %s is not in %q", oid, mapFile)
		}
	}
	return links, nil
}

// mapped is what tablespace_map says; nil where there is none.
func (t *tree) mapped(g *growing) (map[string]string, error) {
	i := slices.IndexFunc(g.root.children, func(n *node) bool { return n.name == mapFile && n.kind == unix.S_IFREG })
	if i < 0 {
		return nil, nil
	}
	text, err := g.root.children[i].content(maxMap)
	if err != nil {
		return nil, fmt.Errorf("could not read %q: %w", mapFile, err)
	}
	return parseTablespaceMap(text)
}

// content is what a small file holds.
func (n *node) content(limit int64) (string, error) {
	f, err := n.open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	data := make([]byte, min(n.size, limit))
	read, err := f.ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(data[:read]), err
}

// addManifest puts backup_manifest where a data directory has it. Where it was written to
// the standard output with the archive, it is in there.
func (t *tree) addManifest(in beneath.Dir, g *growing) error {
	f, st, err := in.Open(manifestFile)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("could not open %q: %w", manifestFile, err)
	}
	a := &source{name: manifestFile, file: f, stat: st}
	t.archives = append(t.archives, a)
	seconds, _ := st.Mtim.Unix()
	g.add(manifestFile, node{kind: unix.S_IFREG, archive: a, size: st.Size, mode: 0o600, modTime: seconds})
	return nil
}
