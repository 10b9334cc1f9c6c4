package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/archive"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// The major versions of PostgreSQL whose data directories are known.
const (
	oldestMajor = 13
	newestMajor = 19
)

// Dir is an open data directory: listing, opening, WAL and tablespaces, for a cluster
// that runs as well as for one that does not. It may be used from many goroutines until
// it is closed. It stays with the directory that was opened when another takes its place
// under the path; [Dir.Reopen] opens that one.
type Dir struct {
	// RecoveryOnRestore says that a copy of the directory replays WAL before it
	// is used, whatever pg_control says: set it, before the first use, where
	// the server runs. If it is false, every state but [controlfile.StateShutDown] means
	// recovery. Without recovery the backup holds all forks of unlogged
	// relations (§4.5), and every page is verified (§4.6).
	RecoveryOnRestore bool

	path     string
	name     string // what Directory says
	root     beneath.Dir
	open     func(path string) (beneath.Dir, error)
	options  DirOptions
	major    int
	systemID uint64
	// foldsCase says that the file system finds a file under names that differ from
	// its own in the case of letters.
	foldsCase bool
	known     tablespaceCache
	listed    listedDirectories
	control   atomic.Pointer[controlCopy] // nil before it was read
	// controlLooked is when the copy was last found current, in nanoseconds since 1970.
	controlLooked atomic.Int64

	succession *succession
	users      int // who have not left; under the succession's lock
}

// DirOptions say what data directories are accepted.
type DirOptions struct {
	// NewestMajor also accepts the major versions after 19 up to this one, and
	// their betas, at the tester's own risk: what is known of 19 is taken for
	// true. pg_control must have a layout that is known, if under another version.
	NewestMajor int

	// DropCache has files leave in the page cache what of them was there when they were
	// opened, and nothing else (posix_fadvise(2)), on Linux. None of them is then sent from
	// where it lies (walsender.InPlaceFile). It is for users who own the files: of those of
	// others the kernel does not tell what is cached, and all stays.
	DropCache bool
}

// OpenDir opens a data directory of PostgreSQL 13 to 19. The error is one line
// that says what is wrong with path: not there, not to be read by this user, no
// data directory, another version, or a pg_control that cannot be read.
func OpenDir(path string, o DirOptions) (*Dir, error) {
	return open(path, o, beneath.OpenRoot)
}

// OpenArchives opens a data directory that lies in archives: those of a backup in tar format,
// uncompressed, in the directory at path. Their headers are read once, and what they say is
// kept in memory. backup_manifest, which lies beside them, is found as in a data directory.
// The errors are those of [OpenDir], and what is wrong with which archive.
func OpenArchives(path string, o DirOptions) (*Dir, error) {
	return open(path, o, openArchives)
}

func openArchives(path string) (beneath.Dir, error) {
	in, err := beneath.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return archive.Open(in)
}

func open(path string, o DirOptions, openRoot func(string) (beneath.Dir, error)) (*Dir, error) {
	absolute, err := absolutePath(path)
	if err != nil {
		return nil, fmt.Errorf("could not determine the path of data directory %q: %w", path, err)
	}
	root, err := openRoot(path)
	if errors.Is(err, archive.ErrCompressed) {
		return nil, fmt.Errorf("directory %q: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("could not open data directory %q: %w", path, pathCause(err))
	}
	d := &Dir{path: path, root: root, open: openRoot, options: o}
	if err := d.identify(); err != nil {
		_ = root.Close()
		return nil, err
	}
	d.path = absolute // not before: messages have the path that they were given
	d.succession = &succession{first: d, latest: d}
	d.users = 1 // the caller, or the succession
	return d, nil
}

// absolutePath makes a path independent of the working directory. The kernel finds the
// same under it, unlike under that of filepath.Abs, which drops link/..: the parent of
// the directory to which the link leads.
func absolutePath(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	working, err := os.Getwd()
	return working + "/" + path, err
}

// identify finds out the version and whether pg_control goes with it.
func (d *Dir) identify() error {
	text, _, err := d.root.Read("PG_VERSION", 64)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%q is not a PostgreSQL data directory: no PG_VERSION", d.path)
	case err != nil:
		return fmt.Errorf("could not read PG_VERSION in %q: %w", d.path, pathCause(err))
	}
	version := strings.TrimSpace(string(text))
	d.major, err = strconv.Atoi(version)
	switch {
	case err != nil || d.major < oldestMajor:
		return fmt.Errorf("%q is of PostgreSQL %q, supported are %d to %d", d.path, protocol.Shorten(version, 16), oldestMajor, newestMajor)
	case d.major > max(newestMajor, d.options.NewestMajor):
		return fmt.Errorf("%q is of PostgreSQL %d, supported are %d to %d; --newest-major=%[2]d tries it, at your own risk",
			d.path, d.major, oldestMajor, newestMajor)
	}
	c, _, err := d.readControl(context.Background(), controlData)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%q is not a PostgreSQL data directory: no global/pg_control", d.path)
	case err != nil:
		return fmt.Errorf("could not read global/pg_control in %q: %w", d.path, pathCause(err))
	case !c.WrittenBy(d.major) && !d.Untested():
		return fmt.Errorf("%q is damaged: PG_VERSION says %d, but pg_control has version %d", d.path, d.major, c.Version)
	}
	st, err := d.root.Lstat(".")
	if err != nil {
		return fmt.Errorf("could not stat %q: %w", d.path, err)
	}
	d.foldsCase = d.root.FoldsCase("PG_VERSION")
	id := beneath.IDOf(st)
	d.systemID = c.SystemID
	d.name = fmt.Sprintf("%d:%d:%d", id.Device, id.Inode, c.SystemID)
	return nil
}

// Untested reports whether the directory is accepted because [DirOptions.NewestMajor]
// says so.
func (d *Dir) Untested() bool { return newestMajor <= d.major && d.major <= d.options.NewestMajor }

// InArchives reports whether the directory lies in archives.
func (d *Dir) InArchives() bool {
	_, in := d.root.(*archive.Root)
	return in
}

// Directory names the data directory: "device:inode:system identifier" in
// decimal numbers, as it was found when it was opened (§4.2).
func (d *Dir) Directory() string { return d.name }

// Major is PostgreSQL's major version, as PG_VERSION had it when the directory was
// opened.
func (d *Dir) Major() int { return d.major }

// SystemID is the system identifier, as pg_control had it when the directory was
// opened.
func (d *Dir) SystemID() uint64 { return d.systemID }

// ReadFile reads a small file, whether it is part of a backup or not, such as
// postmaster.pid. The error, an *fs.PathError, is fs.ErrNotExist where it is not there.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	const most = 1 << 16
	data, _, err := d.root.Read(name, most)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

// OpenFile opens a file of any size, whether it is part of a backup or not. It is a
// [ContentFile]. The error, an *fs.PathError, is fs.ErrNotExist where it is not there.
func (d *Dir) OpenFile(name string) (ContentFile, error) {
	fd, st, err := d.root.Open(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return newFile(fd, name, st), nil
}

// Lookup is the size of a regular file, whether a listing shows it or not, by its path there.
// The error, an *fs.PathError, is fs.ErrNotExist where there is none.
func (d *Dir) Lookup(name string) (int64, error) {
	at, path := d.root, name
	if rest, found := strings.CutPrefix(name, tablespaceList+"/"); found {
		if oid, within, deeper := strings.Cut(rest, "/"); deeper {
			dir, err := d.root.Follow(tablespaceList + "/" + oid)
			if err != nil {
				return 0, &fs.PathError{Op: "open", Path: name, Err: err}
			}
			defer dir.Close()
			at, path = dir, within
		}
	}
	st, err := at.Lstat(path)
	switch {
	case err != nil:
		return 0, &fs.PathError{Op: "stat", Path: name, Err: err}
	case beneath.FileType(st) != unix.S_IFREG:
		return 0, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return st.Size, nil
}

// Settings tells what PG_VERSION, pg_control and the mode of the directory say.
// The minor version is not known there: it is 0, as 15.0.
func (d *Dir) Settings(ctx context.Context) (protocol.Settings, error) {
	c, err := d.Control(ctx)
	if err != nil {
		return protocol.Settings{}, err
	}
	st, err := d.root.Lstat(".")
	if err != nil {
		return protocol.Settings{}, ioError("stat directory", d.path, err)
	}
	mode := fs.FileMode(0o700)
	if st.Mode&0o050 == 0o050 {
		mode = 0o750
	}
	return protocol.Settings{
		ServerVersion:     strconv.Itoa(d.major) + ".0",
		ServerVersionNum:  d.major * 10000,
		WALSegmentSize:    int64(c.WALSegmentSize),
		BlockSize:         int(c.BlockSize),
		DataChecksums:     c.DataChecksumVersion == controlfile.ChecksumsOn,
		DataDirectoryMode: mode,
		InHotStandby:      c.State.Standby(),
		WALLevel:          walLevelName(c.WALLevel),
	}, nil
}

// walLevelName is the name of pg_control's wal_level (xlog.h); empty: not one of those.
func walLevelName(level int32) string {
	names := []string{"minimal", "replica", "logical"}
	if level < 0 || int(level) >= len(names) {
		return ""
	}
	return names[level]
}

// recovers reports whether a copy goes through recovery when it starts.
func (d *Dir) recovers(c controlfile.Control) bool {
	return d.RecoveryOnRestore || c.State != controlfile.StateShutDown
}

// pathCause strips the path that the message already has.
func pathCause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
