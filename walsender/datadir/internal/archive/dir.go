package archive

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// tree is what all archives of a backup hold together.
type tree struct {
	in       beneath.Dir // with the archives
	root     *node
	archives []*source
	stat     unix.Stat_t // of the directory with the archives
}

// dir is a directory in the archives, a [beneath.Dir].
type dir struct {
	tree *tree
	node *node
	told int // how many names Names has told
}

var _ beneath.Dir = (*dir)(nil)

func (d *dir) OpenKnown(name string) (beneath.File, unix.Stat_t, error) { return d.Open(name) }

func (d *dir) Open(name string) (beneath.File, unix.Stat_t, error) {
	n, err := d.node.find(name)
	switch {
	case errors.Is(err, unix.ELOOP):
		return beneath.File{}, unix.Stat_t{}, beneath.ErrSpecial
	case err != nil:
		return beneath.File{}, unix.Stat_t{}, err
	}
	f, err := n.open()
	return f, d.status(n), err
}

func (d *dir) Read(name string, limit int64) ([]byte, unix.Stat_t, error) {
	f, st, err := d.Open(name)
	if err != nil {
		return nil, st, err
	}
	defer f.Close()
	data := make([]byte, min(limit, st.Size))
	n, err := f.ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], st, err
}

func (d *dir) Sub(name string) (beneath.Dir, error) {
	n, err := d.node.find(name)
	switch {
	case err != nil:
		return nil, err
	case n.kind != unix.S_IFDIR:
		return nil, unix.ENOTDIR
	}
	return &dir{tree: d.tree, node: n}, nil
}

func (d *dir) Follow(name string) (beneath.Dir, error) {
	n, err := d.followed(name)
	switch {
	case err != nil:
		return nil, err
	case n.kind != unix.S_IFDIR:
		return nil, unix.ENOTDIR
	}
	return &dir{tree: d.tree, node: n}, nil
}

// followed is the node to which a name leads: from a tablespace's link into its archive.
// Other links lead to nothing that an archive has.
func (d *dir) followed(name string) (*node, error) {
	n, err := d.node.find(name)
	if err != nil || n.kind != unix.S_IFLNK {
		return n, err
	}
	if n.target == nil {
		return nil, unix.ENOENT
	}
	return n.target, nil
}

func (d *dir) Lstat(name string) (unix.Stat_t, error) {
	n, err := d.node.find(name)
	if err != nil {
		return unix.Stat_t{}, err
	}
	return d.status(n), nil
}

func (d *dir) Stat(name string) (unix.Stat_t, error) {
	n, err := d.followed(name)
	if err != nil {
		return unix.Stat_t{}, err
	}
	return d.status(n), nil
}

// status is that of a node. The root is the directory with the archives itself, but for the
// mode, which is that of the data directory.
func (d *dir) status(n *node) unix.Stat_t {
	if n != d.tree.root {
		return n.status(d.tree.stat)
	}
	st := d.tree.stat
	set(&st.Mode, n.kind|n.mode)
	return st
}

func (d *dir) Exists(name string) (bool, error) {
	_, err := d.node.find(name)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

func (d *dir) Readlink(name string) (string, error) {
	n, err := d.node.find(name)
	switch {
	case err != nil:
		return "", err
	case n.kind != unix.S_IFLNK:
		return "", unix.EINVAL
	}
	return n.link, nil
}

// CheckReadable is nil: the archives are open.
func (d *dir) CheckReadable(name string) error {
	_, err := d.node.find(name)
	return err
}

func (d *dir) Names(n int) ([]string, error) {
	left := d.node.children[d.told:]
	switch {
	case n > 0 && len(left) == 0:
		return nil, io.EOF
	case n > 0:
		left = left[:min(n, len(left))]
	}
	d.told += len(left)
	names := make([]string, len(left))
	for i, child := range left {
		names[i] = child.name
	}
	return names, nil
}

func (d *dir) AllNames() ([]string, error) { return (&dir{tree: d.tree, node: d.node}).Names(-1) }

func (d *dir) FoldsCase(string) bool { return false }

func (d *dir) Misspells(string) bool { return false }

// Close does nothing: the archives stay open until their [Root] is closed.
func (d *dir) Close() error { return nil }

func (t *tree) close() error {
	errs := []error{t.in.Close()}
	for _, a := range t.archives {
		errs = append(errs, a.file.Close())
	}
	return errors.Join(errs...)
}
