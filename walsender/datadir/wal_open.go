package datadir

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// openWAL opens a segment or a history file by its name in pg_wal.
func (d *Dir) openWAL(ctx context.Context, name string) (fs.File, error) {
	path := walDirectory + "/" + name
	c, err := d.Control(ctx)
	if err != nil {
		return nil, err
	}
	_, _, isSegment := protocol.ParseWALFileName(name, int64(c.WALSegmentSize))
	rules := newRules(d.major, c)
	if slices.Contains(rules.walDirectories(), name) {
		return nil, openError(path, unix.EISDIR)
	}
	if err := rules.checkWALName(name, c); err != nil {
		return nil, err
	}
	if isSegment {
		f, err := d.openSegment(c, name)
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	wal, err := d.openWALDirectory()
	if err != nil {
		return nil, err
	}
	defer wal.Close()
	fd, st, err := wal.Open(name)
	if err != nil {
		return nil, openError(path, err)
	}
	return newFile(fd, path, st).keepCache(d.options), nil
}

// openSegment opens a segment whose content belongs to its name.
func (d *Dir) openSegment(c controlfile.Control, name string) (*walFile, error) {
	wal, err := d.openWALDirectory()
	if err != nil {
		return nil, err
	}
	path := walDirectory + "/" + name
	fd, st, err := wal.Open(name)
	if err != nil {
		_ = wal.Close()
		if errors.Is(err, unix.ENOENT) {
			return nil, removed(name)
		}
		return nil, openError(path, err)
	}
	f := &walFile{file: newFile(fd, path, st).keepCache(d.options), dir: wal, segment: name, control: c}
	if err := f.Check(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// walFile is an open WAL segment. PostgreSQL may recycle the segment: the file then gets
// another name, and later other WAL.
type walFile struct {
	*file
	dir     beneath.Dir
	segment string // its name in dir
	control controlfile.Control
}

// Check makes sure that the segment's name still leads to the open file, and that the
// file's content belongs to that name. If not, the error is 58P01.
func (w *walFile) Check() error {
	if w.closed {
		return fs.ErrClosed
	}
	st, err := w.dir.Lstat(w.segment)
	if err == nil && beneath.IDOf(st) != beneath.IDOf(w.stat) {
		err = errNotSegment
	}
	if err == nil {
		err = checkSegment(w.dir, w.fd, st, w.segment, w.control)
	}
	return segmentError(w.segment, err)
}

// Close closes the file and the directory that it was found in.
func (w *walFile) Close() error {
	if err := w.file.Close(); err != nil {
		return err
	}
	return w.dir.Close()
}
