package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/refresh"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// ErrStarted is wrapped in the error of [Backup] with [Options.Refresh] where a server was
// started from the backup: what is there is somebody's cluster.
var ErrStarted = datatree.ErrStarted

// ErrNeedsInPlace is wrapped in the error of [Backup] where the new backup cannot be made beside the
// old one, as its directories are to be the same, but the old one can be refreshed with
// [Options.InPlace].
var ErrNeedsInPlace = datatree.ErrNeedsInPlace

// checkEarlier makes sure that what is there can be refreshed from this server.
func (b *backup) checkEarlier() error {
	if b.refresh == nil {
		return nil
	}
	if !b.leader.Has(protocol.ExtensionDigests) {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "server does not tell the digests of its files, without which no backup can be refreshed").
			WithHint("Take a backup into another directory, or use a \"pgparallel serve\" that has the extension \"digests\".")
	}
	switch id, exists := b.refresh.SystemID(); {
	case !exists || id == b.cluster.system.SystemID:
	case id == 0: // what is kept equals the server's in any case
		b.events.tell(LevelInfo, "of which cluster the backup in directory %q is, nothing says: what equals the files of this server is kept", b.Dir)
	default:
		return fmt.Errorf("the backup in directory %q is of another cluster: its system identifier is %d, the server's is %d",
			b.Dir, id, b.cluster.system.SystemID)
	}
	return nil
}

// compareFiles keeps what there is of the files that equals the server's, and fetches of
// others the blocks that differ. The rest is copyFiles' to fetch.
func (b *backup) compareFiles(ctx context.Context) error {
	b.order = b.listing.Files.Sorted(output.LargestFirst)
	if b.refresh == nil {
		return nil
	}
	c := refresh.New(refresh.Config{
		Files: &b.listing.Files, Order: b.order, Tree: b.refresh,
		Sum: b.Manifest.Checksums, NoSum: b.Manifest.Omit, Unverified: b.NoVerifyChecksums,
		Fetched:  map[string]bool{output.AutoConfFile: b.WriteRecoveryConf}, // it is appended to
		Kept:     b.fileKept,
		Progress: func(n int64) { b.progress.bytes.Add(n) },
	})
	err := b.whileLed(ctx, func(copying context.Context) error {
		group, comparing := errgroup.WithContext(copying)
		for _, w := range b.workers {
			group.Go(func() error { return b.compare(comparing, ctx, c, w) })
		}
		return group.Wait()
	})
	if err != nil {
		return err
	}
	b.order = c.Rest()
	if text := b.kept.text(b.refresh.Removed()); text != "" {
		b.events.tell(LevelVerbose, "%s", text)
	}
	return nil
}

// compare compares files over the connection of a worker, and over another where that is lost.
func (b *backup) compare(ctx, sessionCtx context.Context, c *refresh.Comparison, w *worker) error {
	for attempts, done := 0, 0; ; {
		unbind := context.AfterFunc(ctx, w.conn.Abort)
		err := c.Run(ctx, w.conn)
		unbind()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, lost := errors.AsType[*wire.LostError](err); !lost {
			return err
		}
		if now := c.Done(); now > done {
			attempts, done = 0, now
		}
		if attempts++; attempts >= maxAttempts {
			return fmt.Errorf("gave up after %d attempts: %w", attempts, err)
		}
		w.conn.Abort()
		replacement, failed := b.rejoin(ctx, sessionCtx)
		if failed != nil {
			return fmt.Errorf("%w (and the connection could not be replaced: %v)", err, failed)
		}
		w.conn = replacement
		b.events.tell(LevelVerbose, "connection was lost and replaced: %v", err)
	}
}

// fileKept judges and counts a file that is whole, of which fetched bytes came from the server.
func (b *backup) fileKept(f *output.File, listed, fetched int64) error {
	b.kept.add(f.Size, fetched)
	return b.fileReceived(f, listed, nil)
}

// whileLed does something with the workers while the leader, who is idle, is watched: the server
// aborts the backup when the leader's connection is lost.
func (b *backup) whileLed(ctx context.Context, do func(context.Context) error) error {
	copying, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	leader := b.guardLeader(cancel)
	err := do(copying)
	if isAborted(err) {
		// The server aborts a backup whose leader is lost: it is that loss
		// that is to be told, if it is known soon.
		select {
		case <-leader.done:
		case <-time.After(time.Second):
		}
	}
	if lost := leader.stop(); lost != nil {
		return lost
	}
	return err
}
