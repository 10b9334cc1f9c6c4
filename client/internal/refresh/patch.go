package refresh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

const (
	// longestSpan is how much is asked for at once.
	longestSpan = 1 << 20
	// windowSpans is for how many spans is asked ahead of their arrival.
	windowSpans = 64
	// fetchWhole is the part of a file, in percent, from which on it is fetched as a whole: a
	// server verifies and sends it faster than in pieces.
	fetchWhole = 75
)

// settle deals with a file that is not kept as it is: the blocks that differ are fetched, or
// all of it is left to be.
func (r *run) settle(q *question) error {
	if q.done {
		return nil
	}
	kept := false
	switch inParts := q.byBlocks && q.blocks > 0 && q.bytes()*100 < q.blocks*BlockSize*fetchWhole; {
	case inParts && r.Only:
		return r.keep(q, q.file.Size, nil, min(q.bytes(), q.file.Size))
	case inParts:
		var err error
		if kept, err = r.patch(q); err != nil {
			return err
		}
	}
	if kept {
		return nil
	}
	if r.Only {
		r.dealtWith(q)
		return nil
	}
	if err := r.Tree.Drop(q.file.Path); err != nil {
		return err
	}
	r.dealtWith(q)
	return nil
}

// bytes is how much of the file differs.
func (q *question) bytes() (n int64) {
	for _, s := range q.differs {
		n += s.to - s.from
	}
	return n
}

// patch fetches the blocks that differ into a file that has the others. It reports false where
// the server's file has become shorter, or is gone.
func (r *run) patch(q *question) (kept bool, err error) {
	e, found := r.earlier(q)
	if !found {
		return false, nil
	}
	defer e.Close()
	size, known := q.size(e)
	if len(q.differs) == 0 && e.Size == size && !q.cut {
		return r.keepWhole(q, e, size)
	}
	f, err := r.Tree.Patch(q.file.Path, e)
	if err != nil {
		return false, err
	}
	defer f.Close()
	fetched, end, err := r.fetch(q, f)
	if errors.Is(err, errShort) {
		return false, nil
	}
	if err != nil && !e.Here {
		return false, errors.Join(err, r.Tree.Drop(q.file.Path)) // it may be put together once more
	}
	if err != nil {
		return false, err
	}
	if !known {
		size = end
	}
	if err := f.Truncate(size); err != nil {
		return false, fmt.Errorf("could not truncate file %q: %w", q.file.Path, output.Cause(err))
	}
	sum, err := r.sumUp(q, f, size, fetched)
	if err != nil {
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, fmt.Errorf("could not close file %q: %w", q.file.Path, output.Cause(err))
	}
	return true, r.keep(q, size, sum, fetched)
}

// keepWhole keeps a file of which no block differs.
func (r *run) keepWhole(q *question, e output.Earlier, size int64) (bool, error) {
	sum, err := r.sumUp(q, e.File, size, 0)
	if err != nil {
		return false, err
	}
	if err := r.Tree.Keep(q.file.Path, e); err != nil {
		return false, err
	}
	return true, r.keep(q, size, sum, 0)
}

// size is how long the file is to be, as the digest of its last block tells: where that block
// equals the one here, which ends where this file does or is a whole one.
func (q *question) size(e output.Earlier) (size int64, known bool) {
	end := q.blocks * BlockSize
	if last := len(q.differs) - 1; last >= 0 && q.differs[last].to == end {
		return 0, false
	}
	return min(end, e.Size), true
}

// fetch asks for the spans that differ, several at a time, and writes them where they belong.
// It tells how many bytes have come, and where the last ended. The error is errShort where the
// file is not what the digests were of any more; the connection can go on then.
func (r *run) fetch(q *question, f *os.File) (fetched, end int64, err error) {
	asked := 0
	var short bool
	defer func() {
		if err != nil {
			r.Progress(-fetched)
		}
	}()
	for i, s := range q.differs {
		for ; !short && asked < len(q.differs) && asked < i+windowSpans; asked++ {
			if err := r.askSpan(q, q.differs[asked]); err != nil {
				return fetched, 0, err
			}
		}
		if i >= asked {
			break
		}
		if err := r.conn.Flush(); err != nil {
			return fetched, 0, err
		}
		got, refused, err := r.readSpan(q, f, s)
		fetched += got
		if err != nil {
			return fetched, 0, err
		}
		end = s.from + got
		// The last block may be shorter than others, and is never empty.
		last := s.to == q.blocks*BlockSize
		short = short || refused || !last && got < s.to-s.from || last && got <= s.to-s.from-BlockSize
	}
	if short {
		return fetched, 0, errShort
	}
	return fetched, end, nil
}

func (r *run) askSpan(q *question, s span) error {
	return r.conn.Ask(grammar.SendFile{
		Path: q.file.Path, NoVerifyChecksums: r.Unverified, Offset: s.from, Length: s.to - s.from,
	}.String())
}

// readSpan writes what arrives of a span.
func (r *run) readSpan(q *question, f *os.File, s span) (got int64, refused bool, err error) {
	answer, err := readCopy(r.conn, q.file.Path, func(payload []byte) error {
		if got+int64(len(payload)) > s.to-s.from {
			return protocol.Fatalf(protocol.CodeProtocolViolation, "server sent more of file %q than was asked for", q.file.Path)
		}
		if _, err := f.WriteAt(payload, s.from+got); err != nil {
			return fmt.Errorf("could not write to file %q: %w", q.file.Path, output.Cause(err))
		}
		if q.sums != nil {
			q.sums.add(payload, s.from+got)
		}
		got += int64(len(payload))
		r.Progress(int64(len(payload)))
		return nil
	})
	return got, answer != nil, err
}

// sumUp is the checksum in the manifest of a file that was put together. It is had from those of its
// blocks, or the file is read.
func (r *run) sumUp(q *question, f *os.File, size, fetched int64) ([]byte, error) {
	r.Progress(size - fetched) // what was kept
	if q.sums != nil && int64(len(q.sums))*BlockSize >= size {
		return q.sums.sum(size), nil
	}
	sum := r.newSum()
	if sum == nil {
		return nil, nil
	}
	for at := int64(0); at < size; {
		if r.ctx.Err() != nil {
			return nil, context.Cause(r.ctx)
		}
		n, err := f.ReadAt(r.piece[:min(int64(len(r.piece)), size-at)], at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("could not read file %q: %w", q.file.Path, output.Cause(err))
		}
		sum.Write(r.piece[:n])
		at += int64(n)
	}
	return sum.Sum(nil), nil
}
