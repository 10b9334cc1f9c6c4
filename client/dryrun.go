package client

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// Plan is what [Backup] would do now. The cluster may change until it does.
type Plan struct {
	SystemID      uint64
	ServerVersion int   // server_version_num
	Files         int64 // WAL excepted
	Bytes         int64
	// Spaces are the data directory, whose OID is 0, and the tablespaces by OID.
	Spaces []PlannedSpace
	// Workers are what the connections that copy files would have to do, if all
	// were equally fast. There are fewer than wanted where [Options.MinJobs]
	// allows it, and not all can be opened.
	Workers []PlannedWorker
	WAL     WALMethod // what would be done: never WALDefault
	Slot    string    // the replication slot that is used; empty: a temporary one, or none
	// FileSystems are those that the backup would be written to, and the room there: none
	// if it goes to [ArchiveOptions.Output].
	FileSystems []FileSystem
	Creates     []string // the directories, and archives, that would be made, each after its parent
	// Removes are the directories that would be emptied of an unfinished backup
	// first (Options.Force).
	Removes []string
	Refresh *PlannedRefresh // nil without Options.Refresh
}

// PlannedSpace is a directory to copy.
type PlannedSpace struct {
	OID      uint32
	Location string // on the server; empty for the data directory
	// Target is the directory or the archive that it goes to: "-" for
	// [Options.Output], empty for a tablespace within the data directory.
	Target string
	// Unmapped says that Target is what the server has named, for want of a
	// mapping (§5.9).
	Unmapped bool
	Files    int64
	Bytes    int64
}

// PlannedWorker is what one connection would copy.
type PlannedWorker struct {
	Files int64
	Bytes int64
}

// DryRun finds out what [Backup] would do with the same options, and whether it could:
// it connects as often, and asks for the same lists. Nothing is created or removed, and no
// backup is started; a replication slot that the backup would create is tried as a
// temporary one that keeps no WAL. With Options.Refresh all files are compared, for which both
// sides read them; o.Log is told at LevelVerbose what would become of each. What stands in the way of
// the backup, as far as it can be known without one, is the error. Progress and NoClean mean nothing here.
func DryRun(ctx context.Context, o Options) (Plan, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Plan{}, err
	}
	o.dryRun = true
	b := &backup{Options: o, events: events{log: o.Log}}
	if b.out, err = newOutput(o, &b.events); err != nil {
		return Plan{}, err
	}
	if b.refresh, _ = b.out.(output.Refresher); b.refresh != nil {
		defer b.refresh.Close()
	}
	if b.dialer, err = b.newDialer(); err != nil {
		return Plan{}, err
	}
	connected, disconnect := context.WithCancel(ctx)
	defer disconnect()
	plan, err := b.dryRun(connected)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("dry run was canceled: %w", context.Cause(ctx))
	}
	if err == nil {
		b.hangUp()
	}
	return plan, err
}

func (b *backup) dryRun(ctx context.Context) (Plan, error) {
	for _, step := range []func(context.Context) error{
		b.connect, b.identify, b.listTablespaces, b.chooseWAL, b.findPrimary, b.checkBackup, b.openStream, b.trySlot, b.connectWorkers,
	} {
		if err := step(ctx); err != nil {
			return Plan{}, err
		}
	}
	if err := b.checkEarlier(); err != nil {
		return Plan{}, err
	}
	targets, err := b.locate()
	if err != nil {
		return Plan{}, err
	}
	if err := b.listFiles(ctx); err != nil {
		return Plan{}, err
	}
	b.order = b.listing.Files.Sorted(output.LargestFirst)
	if b.refresh != nil {
		return b.planRefresh(ctx, targets)
	}
	p := b.plan(targets)
	return p, p.planDirectories([]string{b.WAL.Dir, b.Dir}, b.Force)
}

// plan is the plan of a backup whose files are listed.
func (b *backup) plan(targets map[uint32]output.Target) Plan {
	return Plan{
		SystemID: b.cluster.system.SystemID, ServerVersion: b.cluster.versionNum,
		Files: int64(b.listing.Files.Len()) + 1, Bytes: b.listing.Bytes,
		Spaces: b.plannedSpaces(targets), Workers: b.plannedWorkers(), WAL: b.WAL.Method, Slot: b.WAL.Slot,
		FileSystems: b.fileSystems(b.listing),
	}
}

// checkBackup asks the server whether START_BACKUP would succeed now. One that passes
// commands through is asked only if it has said that it answers by itself: PostgreSQL would
// log an error.
func (b *backup) checkBackup(context.Context) error {
	if b.walAccess() != protocol.WALKept && b.leader.Parameters[protocol.ParameterCheck] != "on" {
		return nil
	}
	_, err := b.show(protocol.ParameterCheck)
	if protocol.HasCode(err, protocol.CodeUndefinedObject) {
		return nil // the server does not know it
	}
	if refused, ok := errors.AsType[*protocol.Error](err); ok {
		return fmt.Errorf("could not initiate base backup: %w", refused)
	}
	return err
}

// trySlot makes sure that the slot of the stream can be created, if it is to be.
func (b *backup) trySlot(context.Context) error {
	if b.stream == nil {
		return nil
	}
	return b.stream.TrySlot()
}

// plannedSpaces sums up the files by the directories that they belong to.
func (b *backup) plannedSpaces(targets map[uint32]output.Target) []PlannedSpace {
	sums := b.listing.Sums()
	space := func(oid uint32, location string) PlannedSpace {
		return PlannedSpace{
			OID: oid, Location: location, Target: targets[oid].Path, Unmapped: targets[oid].Unmapped, Files: sums[oid].Files, Bytes: sums[oid].Bytes,
		}
	}
	spaces := []PlannedSpace{space(0, "")}
	for _, t := range b.tablespaces {
		spaces = append(spaces, space(t.OID, t.Location))
	}
	return spaces
}

// plannedWorkers hands the files out, the largest first, each to the worker that has
// the least to do.
func (b *backup) plannedWorkers() []PlannedWorker {
	workers := make(workload, len(b.workers))
	for _, i := range b.order {
		workers[0].Files++
		workers[0].Bytes += b.listing.Files.At(i).Size
		heap.Fix(&workers, 0)
	}
	slices.SortStableFunc(workers, func(a, b PlannedWorker) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return workers
}

// workload is a heap whose first worker has the least to do.
type workload []PlannedWorker

func (w workload) Len() int { return len(w) }

func (w workload) Swap(i, j int) { w[i], w[j] = w[j], w[i] }

func (w workload) Less(i, j int) bool {
	if w[i].Bytes != w[j].Bytes {
		return w[i].Bytes < w[j].Bytes
	}
	return w[i].Files < w[j].Files
}

func (w *workload) Push(x any) { *w = append(*w, x.(PlannedWorker)) }

func (w *workload) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// planDirectories finds out which directories and archives there are.
func (p *Plan) planDirectories(targets []string, force bool) error {
	for _, space := range p.Spaces {
		targets = append(targets, space.Target)
	}
	for _, target := range targets {
		if !filepath.IsAbs(target) {
			continue // within the data directory, or to standard output
		}
		absent, err := datatree.AbsentDirectories(target)
		if err != nil {
			return err
		}
		for _, dir := range absent {
			if !slices.Contains(p.Creates, dir) {
				p.Creates = append(p.Creates, dir)
			}
		}
		if force && len(absent) == 0 && datatree.IsUnfinished(target) && !slices.Contains(p.Removes, target) {
			p.Removes = append(p.Removes, target)
		}
	}
	slices.SortFunc(p.Creates, strings.Compare)
	return nil
}
