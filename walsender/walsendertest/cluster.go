package walsendertest

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// Cluster is a [Sample] in memory, to be served: a walsender.Cluster, a WALLister, a
// Historian, a SlotReader and a RunningCluster. It has the files that [Sample.Write] would write, byte for byte, but
// makes each page when it is read. So a file of a terabyte takes no room, and a
// million [Sample.SmallFiles] neither.
//
// The state of the Sample decides what its backups are:
//
//   - [controlfile.StateShutDown], the default: no backup_label (§4.1).
//   - [controlfile.StateShutDownInRecovery], [controlfile.StateInArchiveRecovery]: the
//     label of a standby.
//   - [controlfile.StateInProduction]: a primary that runs, and the label of one.
//   - any other: 55000.
//
// BASE_BACKUP takes a backup of it in any of these states. START_REPLICATION and slots are
// served, as by any server, where the state is one of a cluster that was shut down (§9.2).
// With the timeline 2 or a later one, a stream of the timeline before has an end.
//
// Every file was last modified at the same time, and labels name that too, so that
// what a client writes can be compared with goldens. Any number of servers may serve
// it. The zero value is a small primary that was shut down.
type Cluster struct {
	// Sample describes the files. It must not be changed once the Cluster is used.
	// A segment size of 0 means 1 MiB here.
	Sample Sample

	// Slots are the replication slots that it has kept (§9.2). They must not be changed
	// once the Cluster is used.
	Slots []protocol.ReplicationSlot

	once    sync.Once
	err     error
	sample  Sample // complete
	tree    memTree
	damaged map[string][]int64 // blocks by path
	cache   pageCache

	running atomic.Int64 // backups
}

// sampleTime is when everything in a sample happened.
var sampleTime = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// Primary is a small cluster that was shut down: its backups have no label.
func Primary() *Cluster { return &Cluster{Sample: Sample{State: controlfile.StateShutDown}} }

// RunningPrimary is a small primary that runs: its backups have a label.
func RunningPrimary() *Cluster { return &Cluster{Sample: Sample{State: controlfile.StateInProduction}} }

// Standby is a small standby that runs: its backups have a label. The fault
// [Promotion] promotes it.
func Standby() *Cluster { return &Cluster{Sample: Sample{State: controlfile.StateInArchiveRecovery}} }

// build makes the tree at the first use. An error is one of the Sample.
func (c *Cluster) build() error {
	c.once.Do(func() {
		if c.Sample.WALSegmentSize == 0 {
			c.Sample.WALSegmentSize = 1 << 20
		}
		if c.sample, c.err = c.Sample.complete(); c.err != nil {
			return
		}
		c.tree = memTree{files: map[string]content{}}
		c.sample.write(&c.tree)
		if c.sample.State != controlfile.StateShutDown {
			c.tree.remove(unloggedFork)
		}
		c.tree.file("global/pg_control", c.sample.control().Encode())
		c.damaged = map[string][]int64{}
		for _, p := range c.sample.DamagedPages {
			c.damaged[p.Path] = append(c.damaged[p.Path], p.Block)
		}
	})
	return c.err
}

// Directory is another name for each Cluster.
func (c *Cluster) Directory() string { return fmt.Sprintf("memory:%p", c) }

// Identify tells the system identifier, and the timeline and position where the WAL ends.
func (c *Cluster) Identify(context.Context) (protocol.System, error) {
	if err := c.build(); err != nil {
		return protocol.System{}, err
	}
	return protocol.System{SystemID: c.sample.SystemID, Timeline: c.sample.Timeline, XLogPos: c.sample.endLSN(), Redo: c.sample.checkpointLSN()}, nil
}

// Settings tells what the Sample is made of.
func (c *Cluster) Settings(context.Context) (protocol.Settings, error) {
	if err := c.build(); err != nil {
		return protocol.Settings{}, err
	}
	mode := fs.FileMode(0o700)
	if c.sample.GroupAccess {
		mode = 0o750
	}
	return protocol.Settings{
		ServerVersion:     fmt.Sprintf("%d.0", c.sample.Version),
		ServerVersionNum:  c.sample.Version * 10000,
		WALSegmentSize:    int64(c.sample.WALSegmentSize),
		BlockSize:         pageSize,
		DataChecksums:     !c.sample.NoChecksums,
		DataDirectoryMode: mode,
		InHotStandby:      c.sample.standby(),
		WALLevel:          "replica",
	}, nil
}

// WALAccess says of a Sample that runs that its WAL may be gone before a client fetches it
// (§1.5), as a client has to expect; it stays all the same, unless a fault takes it away.
func (c *Cluster) WALAccess() protocol.WALAccess {
	if s := c.Sample.State; s == controlfile.StateInProduction || s == controlfile.StateInArchiveRecovery {
		return protocol.WALTransient
	}
	return protocol.WALKept
}

// PrimaryConnInfo is not known: a Sample has no PostgreSQL.
func (c *Cluster) PrimaryConnInfo() string { return "" }

// InRecovery reports whether the Sample is a standby.
func (c *Cluster) InRecovery(context.Context) (bool, error) {
	err := c.build()
	return c.sample.standby(), err
}
