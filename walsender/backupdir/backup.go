package backupdir

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// Options say how a backup is served. The zero value serves those of PostgreSQL 13 to 19,
// held against the manifest by names and sizes.
type Options struct {
	datadir.DirOptions

	// Verify compares the checksum of each file with the manifest before its first byte is
	// sent. Each file is read twice.
	Verify bool
}

// Backup is a finished backup as a cluster: a walsender.Cluster, a WALLister, a Historian, a
// BackupChecker and a Reopener. Any number of backups of it may run at once. Nothing is
// written to it.
type Backup struct {
	*datadir.Dir
	options  Options
	contents contents
	line     *line
}

// Open opens the finished backup in a directory: a data directory, or one with archives in
// it. An [*OrdinaryError] says that it is a data directory and no finished backup. Other
// errors are one line: what is wrong with the backup, or with the directory. The caller
// closes the backup.
func Open(path string, o Options) (*Backup, error) {
	open, err := find(path)
	if err != nil {
		return nil, err
	}
	dir, err := open(path, o.DirOptions)
	if err != nil {
		return nil, err
	}
	b := &Backup{Dir: dir, options: o, line: &line{}}
	if err := b.read(path); err != nil {
		_ = dir.Close() // it was only read
		return nil, err
	}
	b.line.path, b.line.latest = path, b
	return b, nil
}

// read reads what the backup says of itself.
func (b *Backup) read(path string) error {
	err := b.contents.read(b.Dir)
	ordinary, ok := errors.AsType[*OrdinaryError](err)
	switch {
	case err == nil, ok && !b.InArchives():
		return err
	case ok && ordinary.Reason == "":
		err = fmt.Errorf("there is no %q beside its archives", manifestFile)
	case ok:
		err = errors.New(ordinary.Reason)
	}
	return fmt.Errorf("the backup in %q cannot be served: %w", path, err)
}

// Info says what a backup is.
type Info struct {
	Archives    bool   // it lies in archives
	Label       string // as it was given to the backup; empty where there is no label
	Taken       string // when it began, in the words of its label; empty where there is none
	FromStandby bool
	Start, Stop protocol.LSN
	Timeline    protocol.Timeline // of Start
	Files       int               // in the manifest
	Bytes       int64             // of these files
}

// Info tells what the backup is that was opened.
func (b *Backup) Info() Info {
	c := b.contents
	i := Info{
		Archives: b.InArchives(), Label: c.label.Label, Taken: c.label.StartTime, FromStandby: c.standby,
		Start: c.stop.StartPtr, Stop: c.stop.StopPtr, Timeline: c.stop.Timeline, Files: len(c.files),
	}
	for _, f := range c.files {
		i.Bytes += f.Size
	}
	return i
}

// Identify tells the backup's own system identifier, and where the backup ends.
func (b *Backup) Identify(context.Context) (protocol.System, error) {
	return protocol.System{
		SystemID: b.SystemID(), Timeline: b.contents.stop.StopTimeline, XLogPos: b.contents.stop.StopPtr,
		Redo: b.contents.stop.StartPtr,
	}, nil
}

// Settings are those of the cluster when the backup was taken, as far as they are known.
func (b *Backup) Settings(ctx context.Context) (protocol.Settings, error) {
	s, err := b.Dir.Settings(ctx)
	s.InHotStandby = b.contents.standby
	return s, err
}

// InRecovery reports whether the backup was taken of a standby.
func (b *Backup) InRecovery(context.Context) (bool, error) { return b.contents.standby, nil }

// line is the backups that were opened under one path, one after the other.
type line struct {
	path   string
	mu     sync.Mutex
	latest *Backup
}

// Reopen is the backup to which the path leads now (walsender.Reopener). The error is 57P03
// where another directory has taken its place and is no finished backup.
func (b *Backup) Reopen(context.Context) (cluster any, release func(), err error) {
	dir, release, err := b.Dir.Reopen()
	if err != nil {
		return nil, nil, err
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if b.line.latest.Dir == dir && b.line.latest.contents.current(dir) {
		return b.line.latest, release, nil
	}
	next := &Backup{Dir: dir, options: b.options, line: b.line}
	if err := next.read(b.line.path); err != nil {
		release()
		return nil, nil, protocol.Errorf(protocol.CodeCannotConnectNow, "the backup was replaced: %v", err)
	}
	b.line.latest = next
	return next, release, nil
}
