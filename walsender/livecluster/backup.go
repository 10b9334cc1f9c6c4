package livecluster

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// backup is one that runs: an SQL session in backup mode. A goroutine of its own
// reads that session, so that its loss is noticed at once; endWatch takes the session
// back. Whoever removes the backup from the cluster's set ends it.
type backup struct {
	cluster *Cluster
	session *sqlSession
	dialect dialect

	tablespaces datadir.TablespaceMark // ahead of the backup

	stopWatch context.CancelFunc
	watched   chan struct{}                  // closed when the goroutine has ended
	lost      chan *protocol.BackupLostError // gets the reason, once
	reason    *protocol.BackupLostError      // the same; to be read after watched
}

// Abort ends the backup's session, and backup mode with it. Unlike Stop it may be called
// from any goroutine.
func (b *backup) Abort() {
	if b.cluster.remove(b) {
		b.end()
	}
}

// Lost gets the reason when the session ends.
func (b *backup) Lost() <-chan *protocol.BackupLostError { return b.lost }

// add takes the backup into the set that Close aborts.
func (c *Cluster) add(b *backup) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed()
	}
	c.running[b] = struct{}{}
	return nil
}

// remove takes the backup out of the set, and reports whether it was there.
func (c *Cluster) remove(b *backup) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, running := c.running[b]
	delete(c.running, b)
	return running
}

// watch begins to read the session. The goroutine ends at endWatch or with the
// connection.
func (b *backup) watch() {
	ctx, stop := context.WithCancel(context.Background())
	b.stopWatch, b.watched, b.lost = stop, make(chan struct{}), make(chan *protocol.BackupLostError, 1)
	var last *protocol.Error
	b.session.notice = func(n *protocol.Error) { last = n }
	go func() { // ends at endWatch or with the connection
		defer close(b.watched)
		if err := b.session.watch(ctx); err != nil {
			b.reason = lost(err, last)
			b.lost <- b.reason
		}
	}()
}

// endWatch takes the session back from the goroutine. It returns the reason if the
// session was lost.
func (b *backup) endWatch() *protocol.BackupLostError {
	if b.watched == nil {
		return nil
	}
	b.stopWatch()
	<-b.watched
	return b.reason
}

// end closes the session.
func (b *backup) end() {
	_ = b.endWatch() // a lost session is over already
	b.session.close()
}

// lost is why a session was lost: PostgreSQL's last word, if there was one. It is a mere
// warning where the server does not shut down in order.
func lost(err error, last *protocol.Error) *protocol.BackupLostError {
	reason := "no word from the server"
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		reason = said.Message
	} else if last != nil {
		reason = last.Message
	}
	return &protocol.BackupLostError{Detail: "The connection to the cluster was lost: " + reason + "."}
}
