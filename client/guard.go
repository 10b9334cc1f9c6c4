package client

import (
	"fmt"
	"time"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// defaultWALInterval is how often WAL is looked for that nothing keeps.
const defaultWALInterval = 5 * time.Second

// guard has the leader's connection while the others copy. Without that the backup is
// none, nor is it without its WAL.
type guard struct {
	done chan struct{} // closed when nobody listens any more
	end  chan struct{}
	err  error // why the backup has failed; read after done
}

// guardLeader starts a goroutine that has the leader's connection until stop is called,
// or the backup has failed; then it calls failed.
func (b *backup) guardLeader(failed func(error)) *guard {
	g := &guard{done: make(chan struct{}), end: make(chan struct{})}
	go func() {
		defer close(g.done)
		if g.err = b.listenToLeader(g.end); g.err != nil {
			failed(g.err)
		}
	}()
	return g
}

// stop ends the guard and returns why the backup has failed, if it has. After nil the
// connection is as before.
func (g *guard) stop() error {
	close(g.end)
	<-g.done
	return g.err
}

func (b *backup) listenToLeader(end <-chan struct{}) error {
	var look <-chan time.Time // nil: nobody needs to
	if b.WAL.Method == WALFetch && b.walAccess() == protocol.WALTransient {
		ticker := time.NewTicker(b.walInterval)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		w := b.leader.Watch()
		ended := false
		select {
		case <-w.Done: // the connection is lost
		case <-end:
			ended = true
		case <-look:
		}
		if err := w.Stop(); err != nil {
			return fmt.Errorf("could not lead the backup any more: %w", err)
		}
		if ended {
			return nil
		}
		if err := b.lookForWAL(); err != nil {
			return err
		}
	}
}

// lookForWAL makes sure that the WAL of the backup is there still (§5.13).
func (b *backup) lookForWAL() error {
	command := grammar.ListWALFiles{Start: grammar.At(b.started.StartPtr)}
	if err := b.leader.Rows(command.String(), func(protocol.Row) error { return nil }); err != nil {
		return b.walGone(fmt.Errorf("could not list WAL files: %w", err))
	}
	return nil
}
