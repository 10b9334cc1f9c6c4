package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// connectWorkers opens the connections that copy files.
func (b *backup) connectWorkers(ctx context.Context) error {
	jobs, err := b.checkOpenFiles(maxOpenFiles())
	if err != nil {
		return err
	}
	b.workers = make([]*worker, jobs)
	for i := range b.workers {
		b.workers[i] = &worker{}
	}
	err = b.withWorkers(ctx, func(attempt context.Context, w *worker) (err error) {
		w.conn, err = b.dialer.Another(attempt, ctx)
		return err
	})
	if err != nil {
		return b.withLimit(err)
	}
	for i := range b.workers {
		b.events.tell(LevelVerbose, "backup worker (%d) created", i)
	}
	return nil
}

// withLimit says whose limit it is that a server had no connection left, and how many the
// backup needs.
func (b *backup) withLimit(err error) error {
	refused, ok := errors.AsType[*protocol.Error](err)
	if !ok || refused.Code != protocol.CodeTooManyConnections || refused.Hint != "" {
		return err
	}
	others, needed := "one that leads", b.Jobs+1
	if b.stream != nil {
		others, needed = "one that leads and one for the write-ahead log", needed+1
	}
	refused.Hint = fmt.Sprintf("The backup needs %d connections: %d that copy files, %s. The limit is the option --max-wal-senders of \"pgparallel serve\".",
		needed, b.Jobs, others)
	return err
}

func (b *backup) joinBackup(ctx context.Context) error {
	return b.withWorkers(ctx, func(ctx context.Context, w *worker) error {
		defer context.AfterFunc(ctx, w.conn.Abort)()
		return b.join(w.conn)
	})
}

func (b *backup) join(c *wire.Conn) error {
	if err := c.Command(grammar.JoinBackup{ID: b.started.ID}.String()); err != nil {
		return fmt.Errorf("could not join backup: %w", err)
	}
	return nil
}

// withWorkers does something with all workers at once, and parts with those that fail,
// where enough are left (§5.4). Otherwise it returns the first error as soon as there
// cannot be enough any more.
func (b *backup) withWorkers(ctx context.Context, do func(context.Context, *worker) error) error {
	least := b.MinJobs
	if least == 0 {
		least = len(b.workers)
	}
	var mu sync.Mutex
	var first error
	failed := map[*worker]bool{}
	group, attempt := errgroup.WithContext(ctx)
	for _, w := range b.workers {
		group.Go(func() error {
			err := do(attempt, w)
			if err == nil || ctx.Err() != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if failed[w] = true; first == nil {
				first = err
			}
			if len(b.workers)-len(failed) < least {
				return first
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(failed) > 0 {
		b.partWith(failed, first)
	}
	return nil
}

func (b *backup) partWith(failed map[*worker]bool, why error) {
	wanted := len(b.workers)
	b.workers = slices.DeleteFunc(b.workers, func(w *worker) bool {
		if failed[w] && w.conn != nil {
			w.conn.Abort()
		}
		return failed[w]
	})
	b.Jobs = len(b.workers)
	b.events.tell(LevelWarning, "going on with %d of %d workers: %v", b.Jobs, wanted, why)
}

// rejoin opens a connection that may send files of the backup.
func (b *backup) rejoin(ctx, sessionCtx context.Context) (*wire.Conn, error) {
	c, err := b.redial(ctx, sessionCtx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, c.Abort)()
	if err := b.join(c); err != nil {
		c.Abort()
		return nil, err
	}
	return c, nil
}

// redial opens a connection in the place of one that was lost, which for the server
// may still have its place.
func (b *backup) redial(ctx, sessionCtx context.Context) (c *wire.Conn, err error) {
	err = whileRefused(ctx, protocol.CodeTooManyConnections, redialFor, func() error {
		c, err = b.dialer.Another(ctx, sessionCtx)
		return err
	})
	return c, err
}
