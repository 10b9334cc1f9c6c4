package client

import (
	"fmt"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
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

func (e *changedError) Error() string { return changed(e.path, e.size, e.listed) }

// checkWhole holds a file that has arrived to the size that was expected.
func checkWhole(f *output.File, size int64) error {
	if size == f.Size || !protocol.KindOfPath(f.Path).Whole() {
		return nil
	}
	return &changedError{f.Path, size, f.Size}
}

// isAway reports whether the server has no file where every cluster has one: it may be
// about to be replaced.
func isAway(f *output.File, refused *protocol.Error) bool {
	return refused != nil && refused.Code == protocol.CodeUndefinedFile && protocol.KindOfPath(f.Path) == protocol.PathPermanent
}

// takeAgain returns the file that was asked for first to the queue, after a while. Next
// time it is expected to have the size.
func (w *worker) takeAgain(size int64, why error) error {
	i := w.asked[0].index
	f := w.files.At(i)
	if f.Takes++; f.Takes >= maxTakes {
		return fmt.Errorf("gave up after %d attempts: %w", maxTakes, why)
	}
	w.tell(LevelVerbose, "%v: it is taken again", why)
	select {
	case <-time.After(takePause << (f.Takes - 1)):
	case <-w.canceled:
	}
	w.progress.totalBytes.Add(size - f.Size)
	f.Size = size
	w.waiting.Add(size)
	w.forget()
	w.queue.putBack(i)
	return nil
}
