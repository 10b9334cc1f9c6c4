package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// The blocks of an archive, in bytes: the trailer is zeros.
const (
	blockSize = 512
	trailer   = 2 * blockSize
)

// source is an open archive.
type source struct {
	name string
	file beneath.File
	stat unix.Stat_t
}

// read puts what an archive holds below a directory.
func (g *growing) read(a *source, below string) error {
	in := io.NewSectionReader(a.file, 0, a.stat.Size)
	members := tar.NewReader(in) // of a reader that can seek it reads the headers only
	end := int64(0)              // of the last member
	for {
		h, err := members.Next()
		at, _ := in.Seek(0, io.SeekCurrent) // behind the header: nothing is read ahead
		switch {
		case errors.Is(err, io.EOF) && at < end+trailer, errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the archive ends too early")
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, tar.ErrHeader):
			return errors.New("it does not appear to be a valid tar archive")
		case err != nil:
			return err
		}
		n, err := member(h)
		if err != nil {
			return err
		}
		n.archive, n.start = a, at
		if end = at + (n.size+blockSize-1)/blockSize*blockSize; end > a.stat.Size {
			return errors.New("the archive ends too early")
		}
		if err := g.put(h.Name, below, n); err != nil {
			return err
		}
	}
}

// member is the node of a header; its kind is 0 where it stands for nothing.
func member(h *tar.Header) (node, error) {
	n := node{mode: uint32(h.Mode & 0o777), modTime: h.ModTime.Unix()}
	sparse := func(record string) bool { return strings.HasPrefix(record, "GNU.sparse.") }
	for record := range h.PAXRecords {
		if sparse(record) {
			return n, fmt.Errorf("member %q is a sparse file, which is not kept as one piece", protocol.Shorten(h.Name, 256))
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		n.kind, n.size = unix.S_IFREG, h.Size
	case tar.TypeDir:
		n.kind = unix.S_IFDIR
	case tar.TypeSymlink:
		n.kind, n.link = unix.S_IFLNK, h.Linkname
	case tar.TypeXGlobalHeader:
	default:
		return n, fmt.Errorf("member %q is no file, directory or symbolic link", protocol.Shorten(h.Name, 256))
	}
	return n, nil
}

// put puts a member below a directory, under the name that it has in its archive.
func (g *growing) put(name, below string, n node) error {
	if n.kind == 0 {
		return nil
	}
	clean := path.Clean(strings.TrimRight(name, "/"))
	if clean == "." && n.kind == unix.S_IFDIR {
		return nil // where an archive was made of a directory
	}
	if slices.Contains(strings.Split(name, "/"), "..") || protocol.CheckPath(clean) != nil {
		return fmt.Errorf("member %q has no name beneath a directory", protocol.Shorten(name, 256))
	}
	g.add(path.Join(below, clean), n)
	return nil
}
