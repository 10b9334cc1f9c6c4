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
// back.
type backup struct {
	session *sqlSession
	dialect dialect

	tablespaces datadir.TablespaceMark // ahead of the backup

	stopWatch context.CancelFunc
	watched   chan struct{} // closed when the goroutine has ended
	lost      chan error    // gets the reason, once
	reason    error         // the same; to be read after watched
}

// AbortBackup ends the backup's session, and backup mode with it.
func (c *Cluster) AbortBackup(id string) {
	if b := c.take(id); b != nil {
		b.end()
	}
}

// BackupLost is of walsender.BackupWatcher.
func (c *Cluster) BackupLost(id string) <-chan error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.backups[id]; b != nil {
		return b.lost
	}
	return nil
}

func (c *Cluster) add(id string, b *backup) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.backups[id] != nil {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, `backup "%s" cannot be started`, protocol.ShortID(id))
	}
	c.backups[id] = b
	return nil
}

// take takes the backup out of the table; nil when it is not there.
func (c *Cluster) take(id string) *backup {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.backups[id]
	delete(c.backups, id)
	return b
}

// watch begins to read the session. The goroutine ends at endWatch or with the
// connection.
func (b *backup) watch(id string) {
	ctx, stop := context.WithCancel(context.Background())
	b.stopWatch, b.watched, b.lost = stop, make(chan struct{}), make(chan error, 1)
	var last *protocol.Error
	b.session.notice = func(n *protocol.Error) { last = n }
	go func() {
		defer close(b.watched)
		if err := b.session.watch(ctx); err != nil {
			b.reason = lost(id, err, last)
			b.lost <- b.reason
		}
	}()
}

// endWatch takes the session back from the goroutine. The error says that it was lost.
func (b *backup) endWatch() error {
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

// lost is what is told of a backup whose session was lost: with PostgreSQL's last
// word, if there was one. It is a mere warning where the server does not shut down in
// order.
func lost(id string, err error, last *protocol.Error) error {
	reason := "no word from the server"
	var said *pgconn.PgError
	if errors.As(err, &said) {
		reason = said.Message
	} else if last != nil {
		reason = last.Message
	}
	e := protocol.Errorf(protocol.CodeObjectNotInPrerequisite, `backup "%s" was aborted`, protocol.ShortID(id))
	e.Detail = "The connection to the cluster was lost: " + reason + "."
	return e
}
