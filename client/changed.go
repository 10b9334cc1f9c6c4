package client

import (
	"fmt"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// A file that WAL replay does not mend is taken again when it has changed, until it is
// as it was the time before (§5.2). The pauses between the attempts double.
const (
	maxTakes  = 6
	takePause = 50 * time.Millisecond
)

// changedError says that a file that is of use only as a whole has arrived with another
// size than was expected.
type changedError struct {
	path         string
	size, listed int64
}

// Error implements error.
func (e *changedError) Error() string { return changed(e.path, e.size, e.listed) }

// checkWhole holds a file that has arrived to the size that was expected.
func checkWhole(f *file, size int64) error {
	if size == f.size || !protocol.KindOfPath(f.path).Whole() {
		return nil
	}
	return &changedError{f.path, size, f.size}
}

// isAway reports whether the server has no file where every cluster has one: it may be
// about to be replaced.
func isAway(f *file, refused *protocol.Error) bool {
	return refused != nil && refused.Code == protocol.CodeUndefinedFile && protocol.KindOfPath(f.path) == protocol.PathPermanent
}

// takeAgain returns the file that was asked for first to the queue, after a while. Next
// time it is expected to have the size.
func (w *worker) takeAgain(size int64, why error) error {
	i := w.asked[0].index
	f := w.files.at(i)
	if f.takes++; f.takes >= maxTakes {
		return fmt.Errorf("gave up after %d attempts: %w", maxTakes, why)
	}
	w.tell(LevelVerbose, "%v: it is taken again", why)
	select {
	case <-time.After(takePause << (f.takes - 1)):
	case <-w.canceled:
	}
	w.transfer.progress.totalBytes.Add(size - f.size)
	f.size = size
	w.waiting.Add(size)
	w.forget()
	w.queue.putBack(i)
	return nil
}
