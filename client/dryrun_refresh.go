package client

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/refresh"
)

// PlannedRefresh is what a backup with [Options.Refresh] would keep, fetch and remove, WAL
// excepted.
type PlannedRefresh struct {
	KeptFiles    int64  // as they are
	KeptBytes    int64  // of these, and of files of which parts would be fetched
	FetchedFiles int64  // whole or in parts
	FetchedBytes int64  // of these
	RemovedFiles int64  // that the server does not have
	RemovedBytes int64  // of these
	Beside       string // the directory in which the new backup would be made; empty: where the earlier one is
}

// planRefresh compares files as a refresh would, outside of a backup: what is found equal now may
// have changed when the backup has started, and is compared again then.
func (b *backup) planRefresh(ctx context.Context, targets map[uint32]output.Target) (Plan, error) {
	if err := b.refresh.Preview(); err != nil {
		return Plan{}, err
	}
	var room needed
	c := refresh.New(refresh.Config{
		Files: &b.listing.Files, Order: b.order, Tree: b.refresh, Only: true,
		Sum: b.Manifest.Checksums, NoSum: b.Manifest.Omit, Unverified: true, // a backup looks for damage
		Fetched: map[string]bool{output.AutoConfFile: b.WriteRecoveryConf},
		Kept: func(f *output.File, _, fetched int64) error {
			b.kept.add(f.Size, fetched)
			if fetched == 0 {
				b.events.tell(LevelVerbose, "would keep %q", f.Path)
				return nil
			}
			b.events.tell(LevelVerbose, "would fetch %d kB of %q", (fetched+1023)/1024, f.Path)
			if b.refresh.Beside() != "" {
				fetched = f.Size // unless the file system shares blocks
			}
			room.add(f.Path, fetched)
			return nil
		},
		Progress: func(int64) {},
	})
	group, comparing := errgroup.WithContext(ctx)
	for _, w := range b.workers {
		group.Go(func() error {
			defer context.AfterFunc(comparing, w.conn.Abort)()
			return c.Run(comparing, w.conn)
		})
	}
	if err := group.Wait(); err != nil {
		return Plan{}, err
	}
	b.order = c.Rest()
	for _, i := range b.order {
		f := b.listing.Files.At(i)
		b.events.tell(LevelVerbose, "would fetch %q", f.Path)
		room.add(f.Path, f.Size)
	}
	return b.refreshPlan(targets, &room.listing)
}

// refreshPlan is the plan of a refresh whose files were compared. Those of room need room.
func (b *backup) refreshPlan(targets map[uint32]output.Target, room *output.Listing) (Plan, error) {
	p := b.plan(targets)
	room.Control = b.listing.Control
	p.FileSystems = b.fileSystems(room)
	for i := range p.FileSystems {
		p.FileSystems[i].AtMost = true
	}
	r := &PlannedRefresh{
		KeptFiles: b.kept.files, KeptBytes: b.kept.bytes, FetchedFiles: p.Files - b.kept.files, FetchedBytes: p.Bytes - b.kept.bytes,
		Beside: b.refresh.Beside(),
	}
	err := b.refresh.EachRemoved(b.listing, func(path string, bytes int64) {
		b.events.tell(LevelVerbose, "would remove %q", path)
		r.RemovedFiles++
		r.RemovedBytes += bytes
	})
	if err != nil {
		return Plan{}, err
	}
	p.Refresh = r
	return p, p.planDirectories([]string{b.WAL.Dir, b.Dir}, false)
}

// needed gathers the files for which room is needed.
type needed struct {
	mu      sync.Mutex
	listing output.Listing
}

func (n *needed) add(path string, bytes int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listing.Files.Add(output.File{Path: path, Size: bytes})
}
