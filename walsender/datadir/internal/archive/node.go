package archive

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// node is what lies under a name. Once the archives were read it is never changed.
type node struct {
	name     string
	kind     uint32  // S_IFREG, S_IFDIR or S_IFLNK
	children []*node // of a directory, sorted by name
	link     string  // of a link: where it points
	target   *node   // of a tablespace's link: what its archive holds

	archive *source // nil: what no archive has, but the names of others need
	start   int64   // of the content in the archive
	size    int64
	mode    uint32 // permissions
	modTime int64  // Unix seconds
	number  uint64 // in the place of an inode's
}

// find goes along a path; nil if there is nothing. Links are not followed.
func (n *node) find(name string) (*node, error) {
	if name == "." {
		return n, nil
	}
	for rest, more := name, true; more; {
		var component string
		component, rest, more = strings.Cut(rest, "/")
		switch n.kind {
		case unix.S_IFLNK:
			return nil, unix.ELOOP
		case unix.S_IFREG:
			return nil, unix.ENOTDIR
		}
		i, found := slices.BinarySearchFunc(n.children, component, func(child *node, name string) int { return cmp.Compare(child.name, name) })
		if !found {
			return nil, unix.ENOENT
		}
		n = n.children[i]
	}
	return n, nil
}

// growing is a tree of nodes while archives are read.
type growing struct {
	root        *node
	directories map[string]*node // by path
	numbers     uint64
}

func newGrowing() *growing {
	g := &growing{directories: map[string]*node{}}
	g.root = g.newNode(".", unix.S_IFDIR)
	g.directories["."] = g.root
	return g
}

func (g *growing) newNode(name string, kind uint32) *node {
	g.numbers++
	return &node{name: name, kind: kind, number: g.numbers, mode: 0o700}
}

// directory is the directory of a path, made if need be: an archive need not have those
// above its files.
func (g *growing) directory(name string) *node {
	if n := g.directories[name]; n != nil {
		return n
	}
	parent := g.directory(path.Dir(name))
	n := g.newNode(path.Base(name), unix.S_IFDIR)
	parent.children = append(parent.children, n)
	g.directories[name] = n
	return n
}

// add puts something under a path.
func (g *growing) add(name string, n node) *node {
	if n.kind == unix.S_IFDIR {
		d := g.directory(name) // an archive may tell it behind what it holds
		d.archive, d.mode, d.modTime = n.archive, n.mode, n.modTime
		return d
	}
	parent := g.directory(path.Dir(name))
	g.numbers++
	n.name, n.number = path.Base(name), g.numbers
	parent.children = append(parent.children, &n)
	return &n
}

// finish sorts the names. It is an error if there are two of the same path, of which nobody
// could say which is the right one.
func (g *growing) finish() error {
	for name, d := range g.directories {
		slices.SortFunc(d.children, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
		for i, n := range d.children[:max(len(d.children)-1, 0)] {
			if next := d.children[i+1]; n.name == next.name {
				return fmt.Errorf("%q is in %s, and a second time in %s", path.Join(name, n.name), n.where(), next.where())
			}
		}
		d.children = slices.Clip(d.children)
	}
	return nil
}

func (n *node) where() string {
	if n.archive == nil {
		return "the path of another file"
	}
	return fmt.Sprintf("archive %q", n.archive.name)
}

// madeUp is in the numbers of nodes, so that none is that of an inode.
const madeUp = 1 << 63

// status is what the node would be on disk. What no archive says is as it is of the
// directory with the archives.
func (n *node) status(of unix.Stat_t) unix.Stat_t {
	if n.archive != nil {
		of = n.archive.stat
		of.Mtim = unix.NsecToTimespec(n.modTime * 1e9)
		of.Ctim = of.Mtim
	}
	set(&of.Mode, n.kind|n.mode)
	of.Size, of.Ino = n.size, madeUp|n.number
	return of
}

// set sets a field whose type differs from system to system.
func set[T uint16 | uint32](field *T, value uint32) { *field = T(value) }

// open opens the content of a file.
func (n *node) open() (beneath.File, error) {
	switch n.kind {
	case unix.S_IFDIR:
		return beneath.File{}, unix.EISDIR
	case unix.S_IFLNK:
		return beneath.File{}, beneath.ErrSpecial
	}
	return n.archive.file.Part(n.start, n.size)
}
