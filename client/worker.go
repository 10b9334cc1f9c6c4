package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// A worker asks for files before the last one is there, so that a small file does
// not cost a round trip. How far it goes ahead is bounded: the queries must fit
// into what lies between the two ends, for a server that waits until we read may
// not read itself.
//
// It asks again when half of the window is used up, for many files at once: a socket
// has room for few messages, however short they are.
const (
	windowFiles = 1024
	windowText  = 32 << 10 // bytes of queries beyond which none is added
	windowBytes = 16 << 20 // bytes of files beyond which none is added

	// Files that are so few and small are not shared out: nobody is faster with
	// them than who asks for all at once.
	unsharedFiles = 64
	unsharedBytes = 256 << 10
)

// maxAttempts is how many connections may be lost over one file: it is sent again at
// most three times (§5.5).
const maxAttempts = 4

// maxWaits is how many more that may be where the server was kept waiting: nobody can
// tell for certain that this was the reason.
const maxWaits = 60

// transfer is a set of files that the workers copy together.
type transfer struct {
	files   *output.Files
	queue   *queue
	jobs    int
	minJobs int // workers that are enough; 0: all
	tell    func(level EventLevel, format string, args ...any)
	spare   atomic.Int32 // workers that may leave
	waiting atomic.Int64 // bytes of the files that nobody has asked for
	// unverified asks the server not to verify the checksums of pages.
	unverified bool
	describe   bool // ask for descriptors of files where the server gives some (§8.4)
	ways       ways
	// reconnect replaces a connection that was lost, by one that may send the
	// same files.
	reconnect func(context.Context) (*wire.Conn, error)
	// received judges a file that has arrived: the size that was listed, and
	// the error of the server. Nil means that the file is dealt with.
	received func(f *output.File, listed int64, refused *protocol.Error) error
}

// worker is a connection that copies files. One goroutine uses it.
type worker struct {
	receiver
	conn *wire.Conn
	*transfer
	asked []request // in the order in which the answers come
	text  int       // bytes of the queries of asked
	bytes int64     // of the files of asked that are still to arrive
	left  bool      // it has lost its connection for good, and the others are enough
}

// request is a file that the server was asked for.
type request struct {
	index int32
	text  int
	bytes int64 // still to arrive, as listed
	// described says that a descriptor may be the answer: nothing may be asked behind it
	// until that is known, or the file is copied.
	described bool
}

// copyAll lets the workers, at least one, copy what the transfer has, and returns when
// all is there or the first of them has failed; none is at work then.
func (t *transfer) copyAll(ctx context.Context, workers []*worker) error {
	for _, i := range t.queue.order {
		t.waiting.Add(t.files.At(i).Size)
	}
	workers = slices.DeleteFunc(slices.Clone(workers), func(w *worker) bool { return w.left })
	if t.minJobs > 0 {
		t.spare.Store(int32(len(workers) - t.minJobs))
	}
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, t.queue.close)()
	for _, w := range workers {
		group.Go(func() error { return w.run(ctx, t) })
	}
	return group.Wait()
}

// run copies files until there are none left. When ctx ends, it ends as well.
func (w *worker) run(ctx context.Context, t *transfer) error {
	w.transfer, w.canceled = t, ctx.Done()
	defer w.sink.Close()
	defer func() { w.conn.DropDescriptor() }()
	for {
		unbind := context.AfterFunc(ctx, w.conn.Abort)
		err := w.copy()
		unbind()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, lost := errors.AsType[*wire.LostError](err); !lost {
			return err
		}
		if replaced, err := w.replace(ctx, err); !replaced {
			return err
		}
	}
}

func (w *worker) copy() error {
	for {
		if err := w.ask(len(w.asked) == 0); err != nil {
			return err
		}
		if len(w.asked) == 0 {
			return w.sink.Flush()
		}
		if err := w.answer(); err != nil {
			return err
		}
	}
}

// ask asks for files as long as there is room for them; with wait it asks for one
// at least, unless there is none left.
func (w *worker) ask(wait bool) error {
	if !w.low() {
		return w.conn.Flush()
	}
	for w.room() {
		i, ok := w.queue.take(wait)
		if !ok {
			break
		}
		wait = false
		f := w.files.At(i)
		described := w.describable(f)
		command := grammar.SendFile{Path: f.Path, NoVerifyChecksums: w.unverified, Descriptor: described}.String()
		r := request{index: i, text: len(command), bytes: f.Size, described: described}
		w.asked = append(w.asked, r)
		w.text += r.text
		w.bytes += r.bytes
		w.waiting.Add(-r.bytes)
		if described {
			w.conn.AwaitDescriptor()
		}
		if err := w.conn.Ask(command); err != nil {
			return err
		}
	}
	return w.conn.Flush()
}

// low reports whether it is time to ask for more.
func (w *worker) low() bool {
	return len(w.asked) <= w.share()/2 && w.text < windowText/2 && w.bytes <= w.shareBytes()/2
}

func (w *worker) room() bool {
	last := len(w.asked) - 1
	if last < 0 {
		return true
	}
	return !w.asked[last].described && len(w.asked) < w.share() && w.text < windowText && w.bytes < w.shareBytes()
}

// share is how many files the worker may be owed: the last ones are not for one worker
// alone.
func (w *worker) share() int {
	if w.jobs == 1 {
		return windowFiles
	}
	share := w.queue.left()/(2*w.jobs) + 2
	if w.bytes < unsharedBytes {
		share = max(share, unsharedFiles)
	}
	return min(share, windowFiles)
}

// shareBytes is how many bytes the worker may be owed before it asks for no more.
func (w *worker) shareBytes() int64 {
	if w.jobs == 1 {
		return windowBytes
	}
	share := w.waiting.Load() / int64(2*w.jobs)
	return min(max(share, unsharedBytes), windowBytes)
}

// answer receives the file that was asked for first.
func (w *worker) answer() error {
	i := w.asked[0].index
	f := w.files.At(i)
	listed := f.Size
	in := w.begin(w.conn, f, f.Path)
	in.awaiting = w.asked[0].described
	err := in.end(w.read(in))
	refused, told := errors.AsType[*protocol.Error](err)
	changed, grown := errors.AsType[*changedError](err)
	switch {
	case in.gaveUp != nil && told && refused.Code == protocol.CodeQueryCanceled:
		w.askForCopy(in.gaveUp)
		return nil
	case grown:
		return w.takeAgain(changed.size, err)
	case err != nil && (!told || refused.Fatal()):
		return notReceived(f.Path, err)
	case isAway(f, refused):
		return w.takeAgain(listed, notReceived(f.Path, err))
	}
	if err := w.received(f, listed, refused); err != nil {
		return err
	}
	if refused == nil {
		w.ways.add(in.by, in.size)
	}
	w.forget()
	w.queue.done()
	return nil
}

// read reads the answer to its end, and asks for more files as they arrive.
func (w *worker) read(in *incoming) error {
	for {
		kind, body, err := w.conn.Next()
		if err != nil {
			return err
		}
		before := in.size
		if more, err := in.take(kind, body); !more || err != nil {
			return err
		}
		if r := &w.asked[0]; r.described && !in.awaiting {
			r.described = false
			w.conn.DropDescriptor() // ahead of asking for the next
		}
		if kind != 'd' {
			continue
		}
		w.arrived(in.size - before)
		if err := w.ask(false); err != nil {
			return err
		}
	}
}

// arrived takes bytes of the file that was asked for first off what is still to arrive. A
// file may be longer than it was when it was listed.
func (w *worker) arrived(n int64) {
	n = min(n, w.asked[0].bytes)
	w.asked[0].bytes -= n
	w.bytes -= n
}

// notReceived names the file where the error comes from the server; one of this side
// names it already.
func notReceived(path string, err error) error {
	_, refused := errors.AsType[*protocol.Error](err)
	_, lost := errors.AsType[*wire.LostError](err)
	if refused || lost {
		return fmt.Errorf("could not receive file %q: %w", path, err)
	}
	return err
}

// forget takes the first request off the list.
func (w *worker) forget() {
	w.text -= w.asked[0].text
	w.bytes -= w.asked[0].bytes
	w.asked = w.asked[1:] // a thousand may follow: they stay where they are
}

// replace replaces the connection, which err says is lost, and returns what it owed
// to the queue. Where it reports false without an error, the other workers are enough.
func (w *worker) replace(ctx context.Context, err error) (bool, error) {
	ours := w.sink.HasWaited() // the server may not wait for as long
	if len(w.asked) > 0 {
		f := w.files.At(w.asked[0].index)
		if ours && f.Waits < maxWaits {
			f.Waits++
		}
		if f.Lost++; f.Lost >= maxAttempts+f.Waits {
			return false, fmt.Errorf("gave up after %d attempts: %w", f.Lost, err)
		}
	}
	for len(w.asked) > 0 {
		i := w.asked[0].index
		w.waiting.Add(w.files.At(i).Size)
		w.queue.putBack(i)
		w.forget()
	}
	w.conn.DropDescriptor()
	w.conn.Abort()
	replacement, failed := w.reconnect(ctx)
	switch {
	case failed == nil:
		w.conn = replacement
		w.tell(LevelVerbose, "connection was lost and replaced: %v", err)
		return true, nil
	case ctx.Err() == nil && w.spare.Add(-1) >= 0:
		w.left = true
		w.tell(LevelWarning, "going on with one worker less: %v (and the connection could not be replaced: %v)", err, failed)
		return false, nil
	}
	return false, fmt.Errorf("%w (and the connection could not be replaced: %v)", err, failed)
}
