package clientkit

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// holdPoint is where a server waits.
type holdPoint struct {
	open string // until this file is asked for
	stop bool   // until STOP_BACKUP
	wal  bool   // until LIST_WAL_FILES
}

// heldCluster waits at a point, so that something can happen to the client there.
type heldCluster struct {
	*walsendertest.Cluster
	point   holdPoint
	once    sync.Once
	reached chan struct{} // closed at the point
	release chan struct{} // closed by the runner
}

func newHeldCluster(c *walsendertest.Cluster, point holdPoint) *heldCluster {
	return &heldCluster{Cluster: c, point: point, reached: make(chan struct{}), release: make(chan struct{})}
}

func (c *heldCluster) wait(here bool) {
	if here {
		c.once.Do(func() { close(c.reached) })
		<-c.release
	}
}

// Open is the Cluster's, held at its point.
func (c *heldCluster) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	c.wait(name == c.point.open)
	return c.Cluster.Open(ctx, name, o)
}

// StartBackup is the Cluster's, with a backup whose Stop is held at its point.
func (c *heldCluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := c.Cluster.StartBackup(ctx, r)
	return start, beforeStop{b, func() error { c.wait(c.point.stop); return nil }}, err
}

// beforeStop is a running backup before whose end something happens.
type beforeStop struct {
	protocol.RunningBackup
	happens func() error
}

// Stop is the RunningBackup's, unless what happens fails.
func (b beforeStop) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	if err := b.happens(); err != nil {
		b.Abort()
		return protocol.BackupStop{}, err
	}
	return b.RunningBackup.Stop(ctx, wait, notice)
}

// WALFiles is the WALLister's, held at its point.
func (c *heldCluster) WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	c.wait(c.point.wal)
	return c.Cluster.WALFiles(ctx, start, end)
}

// createdTablespace has one more tablespace from the end of START_BACKUP on.
type createdTablespace struct {
	*walsendertest.Cluster
	more    protocol.Tablespace
	started atomic.Bool
}

func (c *createdTablespace) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	defer c.started.Store(true)
	return c.Cluster.StartBackup(ctx, r)
}

func (c *createdTablespace) Tablespaces(ctx context.Context, sizes bool) ([]protocol.Tablespace, error) {
	list, err := c.Cluster.Tablespaces(ctx, sizes)
	if err != nil || !c.started.Load() {
		return list, err
	}
	return append([]protocol.Tablespace{c.more}, list...), nil // the data directory stays the last
}

// brokenListing has LIST_FILES fail after some rows.
type brokenListing struct {
	*walsendertest.Cluster
	rows int
}

func (c brokenListing) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		n := 0
		for row, err := range c.Cluster.Files(ctx, tablespace, notice) {
			if n++; n > c.rows {
				row, err = protocol.File{}, protocol.Errorf(protocol.CodeIOError, "could not read directory: Input/output error")
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// chatter says more in front of LIST_FILES than anybody reads to the end.
type chatter struct{ *walsendertest.Cluster }

func (c chatter) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	const notices = 1_000_000
	return func(yield func(protocol.File, error) bool) {
		for range notices {
			if ctx.Err() != nil {
				yield(protocol.File{}, context.Cause(ctx))
				return
			}
			notice(protocol.Warningf("there is more to be said"))
		}
		for row, err := range c.Cluster.Files(ctx, tablespace, notice) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// unreadableTablespace has LIST_FILES of a tablespace fail as where a file system is
// not mounted.
type unreadableTablespace struct{ *walsendertest.Cluster }

func (c unreadableTablespace) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	if tablespace == "" {
		return c.Cluster.Files(ctx, tablespace, notice)
	}
	return func(yield func(protocol.File, error) bool) {
		yield(protocol.File{}, protocol.Errorf(protocol.CodeIOError, "could not open directory: Input/output error"))
	}
}

// newInitFork lists the _init fork of a relation that becomes unlogged while its files are
// copied: from the second list of the data directory on until STOP_BACKUP, or after it.
type newInitFork struct {
	*walsendertest.Cluster
	path      string
	afterStop bool
	lists     atomic.Int64
	stopped   atomic.Bool
}

func (c *newInitFork) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	if tablespace != "" {
		return c.Cluster.Files(ctx, tablespace, notice)
	}
	again := c.lists.Add(1) > 1
	return func(yield func(protocol.File, error) bool) {
		for row, err := range c.Cluster.Files(ctx, tablespace, notice) {
			if err == nil && row.Path == controlFile && again && c.stopped.Load() == c.afterStop { // it stays the last
				fork := protocol.File{Path: c.path, Type: protocol.TypeFile, Size: 8192, ModTime: row.ModTime}
				if !yield(fork, nil) {
					return
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (c *newInitFork) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := c.Cluster.StartBackup(ctx, r)
	return start, otherEnd{b, func(*protocol.BackupStop) { c.stopped.Store(true) }}, err
}

// hostileWAL adds a row to LIST_WAL_FILES.
type hostileWAL struct {
	*walsendertest.Cluster
	row protocol.File
}

func (c hostileWAL) WALFiles(ctx context.Context, start, end protocol.LSN) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		if !yield(c.row, nil) {
			return
		}
		for row, err := range c.Cluster.WALFiles(ctx, start, end) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// alteredFile sends a file of the right length with other bytes.
type alteredFile struct {
	*walsendertest.Cluster
	path   string
	change func(content []byte)
}

func (c alteredFile) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	f, err := c.Cluster.Open(ctx, name, o)
	if err != nil || name != c.path {
		return f, err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	c.change(content)
	return altered{f, bytes.NewReader(content)}, nil
}

type altered struct {
	fs.File
	content io.Reader
}

func (a altered) Read(p []byte) (int, error) { return a.content.Read(p) }

// busyControl says once that files are still being sent when pg_control is asked for.
type busyControl struct {
	*walsendertest.Cluster
	said *atomic.Bool
}

func (c busyControl) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if name == controlFile && !c.said.Swap(true) {
		return nil, protocol.Errorf(protocol.CodeObjectInUse, "backup is in use by 1 SEND_FILE command")
	}
	return c.Cluster.Open(ctx, name, o)
}

// otherEnds changes what START_BACKUP and STOP_BACKUP return.
type otherEnds struct {
	*walsendertest.Cluster
	start func(*protocol.StartPoint)
	stop  func(*protocol.BackupStop)
}

func (c otherEnds) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := c.Cluster.StartBackup(ctx, r)
	if err == nil && c.start != nil {
		c.start(&start)
	}
	return start, otherEnd{b, c.stop}, err
}

// otherEnd is a running backup with the fault.
type otherEnd struct {
	protocol.RunningBackup
	change func(*protocol.BackupStop)
}

func (b otherEnd) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	stop, err := b.RunningBackup.Stop(ctx, wait, notice)
	if err == nil && b.change != nil {
		b.change(&stop)
	}
	return stop, err
}
