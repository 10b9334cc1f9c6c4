package backupdir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// contents are what a backup says of itself.
type contents struct {
	files    []manifest.File // sorted by path
	asOf     fileStamp       // of the manifest
	label    protocol.BackupLabel
	stop     protocol.BackupStop // what STOP_BACKUP answers
	standby  bool                // it was taken of one
	segments int64               // bytes of a WAL segment
}

// fileStamp tells whether a file is the one that was read.
type fileStamp struct {
	inode uint64
	size  int64
	mtime unix.Timespec
}

func stampOf(f fs.File) (fileStamp, error) {
	info, err := f.Stat()
	if err != nil {
		return fileStamp{}, err
	}
	st := info.Sys().(*unix.Stat_t)
	return fileStamp{uint64(st.Ino), st.Size, st.Mtim}, nil
}

// current reports whether the manifest of the directory is still the one that was read.
func (c *contents) current(dir *datadir.Dir) bool {
	f, err := dir.OpenFile(manifestFile)
	if err != nil {
		return false
	}
	defer f.Close()
	now, err := stampOf(f)
	return err == nil && now == c.asOf
}

// read reads what the backup in a directory says of itself: an [*OrdinaryError] where the
// directory is no backup, or none any more.
func (c *contents) read(dir *datadir.Dir) error {
	if there, err := isThere(dir, manifestFile); err != nil || !there {
		return cmp.Or[error](err, &OrdinaryError{})
	}
	if sign, err := started(dir); err != nil || sign != "" {
		return cmp.Or[error](err, &OrdinaryError{fmt.Sprintf("a server was started on it, for there is %q in it", sign)})
	}
	control, err := dir.Control(context.Background())
	if err != nil {
		return err
	}
	c.segments = int64(control.WALSegmentSize)
	text, err := dir.ReadFile(labelFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && control.State != controlfile.StateShutDown:
		return &OrdinaryError{fmt.Sprintf("there is no %q in it, and the state of the cluster is %q", labelFile, control.State)}
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case control.BackupStartPoint != 0:
		return &OrdinaryError{"recovery of it has begun"}
	default:
		if c.label, err = protocol.ParseBackupLabel(string(text)); err != nil {
			return labelError(err)
		}
		c.stop.Label, c.standby = string(text), c.label.From == "standby"
	}
	m, err := c.readManifest(dir)
	if err != nil {
		return fmt.Errorf("could not read file %q: %w", manifestFile, err)
	}
	if m.Version >= 2 && m.SystemID != control.SystemID {
		return fmt.Errorf("manifest system identifier is %d, but control file has %d", m.SystemID, control.SystemID)
	}
	return c.setRange(m.WALRanges, control)
}

// labelError says in one line what is wrong with a label.
func labelError(err error) error {
	refused, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		return err
	}
	if refused.Hint != "" {
		return fmt.Errorf("%s: %s", refused.Message, refused.Hint)
	}
	return errors.New(refused.Message)
}

// readManifest reads the manifest, and keeps its files. One of an incremental backup is an
// error.
func (c *contents) readManifest(dir *datadir.Dir) (*manifest.Manifest, error) {
	f, err := dir.OpenFile(manifestFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if c.asOf, err = stampOf(f); err != nil {
		return nil, err
	}
	m, err := manifest.Read(f)
	if err != nil {
		return nil, err
	}
	c.files = m.Files
	slices.SortFunc(c.files, func(a, b manifest.File) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range c.files {
		if strings.HasPrefix(path.Base(f.Path), "INCREMENTAL.") {
			return nil, fmt.Errorf("it is that of an incremental backup, which has %q; use pg_combinebackup to make a full one", f.Path)
		}
	}
	return m, nil
}

// setRange sets where the backup begins and ends. The ranges of the manifest are one run of
// WAL, the newest timeline first.
func (c *contents) setRange(ranges []manifest.WALRange, control controlfile.Control) error {
	for i := range max(len(ranges)-1, 0) {
		if ranges[i].Start != ranges[i+1].End {
			return fmt.Errorf("the write-ahead log that the manifest names has a gap from %v to %v", ranges[i+1].End, ranges[i].Start)
		}
	}
	switch {
	case len(ranges) == 0 && c.stop.Label == "":
		return &OrdinaryError{"its manifest names no write-ahead log"}
	case len(ranges) == 0:
		return errors.New("the manifest names no write-ahead log: where the backup ends is not known")
	}
	first, last := ranges[len(ranges)-1], ranges[0]
	switch {
	case c.stop.Label == "" && first.Start != control.Redo:
		return &OrdinaryError{"a server was started on it, for its last checkpoint is another than that of the manifest"}
	case c.stop.Label != "" && (first.Start != c.label.StartPtr || first.Timeline != c.label.StartTimeline):
		return fmt.Errorf("the manifest has the backup begin at %v on timeline %d, and the label at %v on timeline %d",
			first.Start, first.Timeline, c.label.StartPtr, c.label.StartTimeline)
	}
	c.stop.StartPtr, c.stop.Timeline = first.Start, first.Timeline
	c.stop.StopPtr, c.stop.StopTimeline = last.End, last.Timeline
	return nil
}

// find is a file of the manifest.
func (c *contents) find(name string) (int, bool) {
	return slices.BinarySearchFunc(c.files, name, func(f manifest.File, name string) int { return cmp.Compare(f.Path, name) })
}

// ignored reports whether the manifest says nothing about a path: what recovery is to do
// with the copy may have been written behind it, and WAL is held by its own checksums.
func ignored(name string) bool {
	switch name {
	case manifestFile, "postgresql.auto.conf", "recovery.signal", "standby.signal":
		return true
	}
	return strings.HasPrefix(name, "pg_wal/")
}
