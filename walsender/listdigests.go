package walsender

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// digestWindow is how many rows of a listing may wait for the digest of a row ahead of them: so
// many small files are read beside a large one.
const digestWindow = 1024

// digestListing is a listing on its way to the peer, whose digests are computed side by side
// while the rows come in their order. The session's goroutine uses it, and its workers compute.
type digestListing struct {
	*digester
	session *session
	backup  *sharedstate.Backup // nil outside of one
	yield   func(protocol.File, error) bool
	said    time.Time // when the peer was last told something

	rows []digestedRow
	next int // of rows: the first that waits

	jobs    chan digestedRow
	workers sync.WaitGroup
	running int
	most    int // that may run
}

// digestedRow is a row of a listing with what becomes of its digest.
type digestedRow struct {
	protocol.File
	*digested
}

// withDigests is the listing with the digests of its files.
func (s *session) withDigests(ctx context.Context, b *sharedstate.Backup, d *digester, files iter.Seq2[protocol.File, error]) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		l := &digestListing{
			digester: d, session: s, backup: b, yield: yield, said: time.Now(),
			jobs: make(chan digestedRow, digestWindow+1), most: runtime.GOMAXPROCS(0),
		}
		if b != nil && b.HasRate() {
			l.most = 1 // the cluster is to be left in peace
		}
		ctx, cancel := context.WithCancel(ctx)
		defer l.workers.Wait()
		defer close(l.jobs)
		defer cancel()
		for row, err := range files {
			if err != nil {
				if l.drain(ctx, 0) {
					yield(row, err)
				}
				return
			}
			l.rows = append(l.rows, l.begin(ctx, row))
			if !l.drain(ctx, digestWindow) {
				return
			}
		}
		l.drain(ctx, 0)
	}
}

// hasDigest reports whether a row of a listing comes with a digest. That of pg_control would
// be of no use: the file is sent in any case, at the end (§4.8).
func hasDigest(f protocol.File) bool {
	return f.Type == protocol.TypeFile && f.Path != controlFile
}

// begin begins to compute the digest of a file, unless it is known or the row has none.
func (l *digestListing) begin(ctx context.Context, row protocol.File) digestedRow {
	if !hasDigest(row) {
		return digestedRow{row, &digested{}}
	}
	if known, ok := l.cached(row.Version); ok {
		return digestedRow{row, known}
	}
	r := digestedRow{row, &digested{done: make(chan struct{})}}
	l.jobs <- r // there is room
	if l.running < l.most {
		l.running++
		l.workers.Go(func() { // ends when jobs is closed, for which ctx ends first
			for r := range l.jobs {
				l.digest(ctx, r)
			}
		})
	}
	return r
}

// digest opens a file and computes its digest. Where the file cannot be read there is none:
// SEND_FILE is to say why.
func (l *digestListing) digest(ctx context.Context, r digestedRow) {
	defer r.finish()
	if r.err = context.Cause(ctx); r.err != nil {
		return
	}
	file, err := l.open(ctx, r.Path, r.digested)
	if err != nil {
		r.err = err
		return
	}
	defer file.Close()
	l.compute(ctx, file, r.digested)
}

// drain yields rows from the first on, while more than most wait or the first need not wait any
// more. It reports false where no more rows are wanted.
func (l *digestListing) drain(ctx context.Context, most int) bool {
	for l.next < len(l.rows) && (len(l.rows)-l.next > most || l.rows[l.next].isDone()) {
		r := l.rows[l.next]
		l.rows[l.next] = digestedRow{}
		l.next++
		if err := l.session.awaitDigest(ctx, l.backup, r.digested, &l.said); err != nil {
			l.yield(protocol.File{}, err)
			return false
		}
		if r.digested.digest != "" {
			r.Checksum, r.Size = r.digested.digest, r.digested.size
		}
		if !l.yield(r.File, nil) {
			return false
		}
	}
	if l.next == len(l.rows) || l.next > digestWindow {
		l.rows = append(l.rows[:0], l.rows[l.next:]...)
		l.next = 0
	}
	return true
}
