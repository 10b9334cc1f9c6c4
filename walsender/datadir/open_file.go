package datadir

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// ContentFile is a file whose content can be read at offsets, as it lies there, and looked
// at for changes: what [Dir.Open] and [Dir.OpenFile] return is one, but for
// global/pg_control, which was read when it was opened.
type ContentFile interface {
	fs.File
	// ReadAt is as io.ReaderAt has it, and verifies no page.
	ReadAt(p []byte, offset int64) (int, error)
	// Unchanged reports whether nobody has written to the file since it was opened, or to
	// the archive that it lies in, in so far as the clock of the file system can tell.
	Unchanged() (bool, error)
}

// file is an open file that ends where it ended when it was opened, or before.
type file struct {
	fd     beneath.File
	closed bool
	name   string // path in the backup
	stat   unix.Stat_t
	end    int64 // bytes; less than stat.Size once the file was found truncated
	offset int64
	cache  *cacheTrace // nil: what is read stays in the page cache
}

func newFile(fd beneath.File, name string, st unix.Stat_t) *file {
	return &file{fd: fd, name: name, stat: st, end: st.Size}
}

// keepCache has the file leave the page cache as it is now, where that is asked for.
func (f *file) keepCache(o DirOptions) *file {
	f.cache = traceIfDropped(f.fd, f.stat.Size, o)
	return f
}

func traceIfDropped(file beneath.File, size int64, o DirOptions) *cacheTrace {
	if fd, whole := file.Descriptor(); whole && o.DropCache {
		return traceCache(fd, size)
	}
	return nil
}

// Stat describes the file as it was when it was opened. Sys is a *unix.Stat_t.
func (f *file) Stat() (fs.FileInfo, error) { return fileInfo{f.name, &f.stat}, nil }

// Descriptor is the file's descriptor, and its size when it was opened. It is not ok where
// the file is a part of another.
func (f *file) Descriptor() (fd int, size int64, ok bool) {
	fd, whole := f.fd.Descriptor()
	return fd, f.stat.Size, whole
}

// Version is the version of the file now. It is zero where the file is a part of another, and
// where it cannot be found out.
func (f *file) Version() protocol.FileVersion {
	if _, whole := f.fd.Descriptor(); f.closed || !whole {
		return protocol.FileVersion{}
	}
	st, err := f.fd.Status()
	if err != nil {
		return protocol.FileVersion{}
	}
	return versionOf(st)
}

// versionOf is the version of the file whose status it is.
func versionOf(st unix.Stat_t) protocol.FileVersion {
	id := beneath.IDOf(st)
	return protocol.FileVersion{
		Device: id.Device, Inode: id.Inode, Size: st.Size, ModTime: st.Mtim.Nano(), ChangeTime: st.Ctim.Nano(),
	}
}

// Read reads up to the size that the file had when it was opened. A file that
// has become shorter ends early.
func (f *file) Read(p []byte) (int, error) {
	if f.closed {
		return 0, fs.ErrClosed
	}
	n, err := f.readAt(p, f.offset)
	f.offset += int64(n)
	f.cache.behind(f.offset)
	if err == nil && n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

// readAt reads at an offset, less than asked for only where the file ends. The
// end is not an error.
func (f *file) readAt(p []byte, offset int64) (int, error) {
	want := min(int64(len(p)), f.end-offset)
	n, err := f.fd.ReadAt(p[:want], offset)
	if errors.Is(err, io.EOF) {
		f.end = offset + int64(n)
		err = nil
	}
	if err != nil {
		return n, ioError("read file", f.name, err)
	}
	return n, nil
}

// Seek moves to an offset from the file's beginning, the only one that there is, up to its
// end. In a file whose pages are verified it is one of whole pages.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch {
	case f.closed:
		return 0, fs.ErrClosed
	case whence != io.SeekStart || offset < 0 || offset > f.end:
		return 0, fs.ErrInvalid
	}
	f.offset = offset
	return offset, nil
}

// ReadAt reads at an offset, up to where the file ended when it was opened.
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	if f.closed {
		return 0, fs.ErrClosed
	}
	n, err := f.fd.ReadAt(p[:max(0, min(int64(len(p)), f.stat.Size-offset))], offset)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return n, ioError("read file", f.name, err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// Unchanged reports whether nobody has written to the file since it was opened.
func (f *file) Unchanged() (bool, error) {
	if f.closed {
		return false, fs.ErrClosed
	}
	same, err := f.fd.Unchanged()
	if err != nil {
		return false, ioError("stat file", f.name, err)
	}
	return same, nil
}

// Close closes the file. A second call is fs.ErrClosed.
func (f *file) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	f.cache.drop(f.stat.Size)
	return f.fd.Close()
}

// fileInfo is the status of a regular file as fs.FileInfo.
type fileInfo struct {
	path string
	stat *unix.Stat_t
}

func (i fileInfo) Name() string { return path.Base(i.path) }

func (i fileInfo) Size() int64 { return i.stat.Size }

func (i fileInfo) Mode() fs.FileMode { return fs.FileMode(i.stat.Mode & 0o777) }

func (i fileInfo) ModTime() time.Time { return modTime(*i.stat) }

func (i fileInfo) IsDir() bool { return false }

func (i fileInfo) Sys() any { return i.stat }

// row is the file's row in a listing. A link that is listed as a directory says nothing of
// a directory's mode.
func row(path string, kind protocol.FileType, st unix.Stat_t) protocol.File {
	f := protocol.File{Path: path, Type: kind, ModTime: modTime(st)}
	if kind == protocol.TypeFile {
		f.Size, f.Version = st.Size, versionOf(st)
	}
	if kind != protocol.TypeDirectory || beneath.FileType(st) == unix.S_IFDIR {
		f.Mode, f.UID, f.GID = uint32(st.Mode)&0o7777, st.Uid, st.Gid
	}
	return f
}

func modTime(st unix.Stat_t) time.Time {
	seconds, _ := st.Mtim.Unix()
	return time.Unix(seconds, 0)
}
