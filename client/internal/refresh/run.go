package refresh

import (
	"bytes"
	"context"
	"errors"
	"hash"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// pieceSize is how much of a file is read at once: a number of whole blocks.
const pieceSize = 128 << 10

// run is one connection's share of a comparison. One goroutine uses it.
type run struct {
	*Comparison
	ctx   context.Context
	conn  *wire.Conn
	piece []byte
}

// compare deals with a batch: all questions at once, then the blocks that differ.
func (r *run) compare(batch []*question) error {
	for _, q := range batch {
		if err := r.conn.Ask(r.command(q)); err != nil {
			return err
		}
	}
	if err := r.conn.Flush(); err != nil {
		return err
	}
	var again []*question
	for _, q := range batch {
		if err := r.answer(q); err != nil {
			return err
		}
		if q.byBlocks && !q.answered {
			again = append(again, q)
		}
	}
	for _, q := range again { // relations whose time is as before, and whose content is not
		if err := r.conn.Ask(r.command(q)); err != nil {
			return err
		}
	}
	if err := r.conn.Flush(); err != nil {
		return err
	}
	for _, q := range again {
		if err := r.answer(q); err != nil {
			return err
		}
	}
	for _, q := range batch {
		if err := r.settle(q); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) command(q *question) string {
	c := grammar.FileDigests{Path: q.file.Path, Checksum: r.digest.String(), NoVerifyChecksums: r.Unverified}
	if q.byBlocks {
		c.Block = BlockSize
	}
	return c.String()
}

// answer reads the answer to a question, while it reads the file.
func (r *run) answer(q *question) error {
	e, found := r.earlier(q)
	if found {
		defer e.Close()
	}
	if q.byBlocks {
		return r.compareBlocks(q, e)
	}
	return r.compareWhole(q, e)
}

// compareWhole compares a file by one digest. Where a relation differs, its blocks are asked for.
func (r *run) compareWhole(q *question, e output.Earlier) error {
	f := q.file
	ours, sum, err := r.readWhole(e, f.Size)
	if err != nil {
		return err
	}
	var theirs []byte
	refused, err := readCopy(r.conn, f.Path, func(payload []byte) error {
		if len(theirs)+len(payload) > r.digest.Size() {
			return protocol.Fatalf(protocol.CodeProtocolViolation, "server sent more than one digest of file %q", f.Path)
		}
		theirs = append(theirs, payload...)
		return nil
	})
	if err != nil {
		return err
	}
	if refused == nil && ours != nil && bytes.Equal(ours, theirs) {
		q.answered = true
		if !r.Only {
			if err := r.Tree.Keep(f.Path, e); err != nil {
				return err
			}
		}
		return r.keep(q, f.Size, sum, 0)
	}
	if ours != nil {
		r.Progress(-f.Size)
	}
	if refused == nil && ours != nil && isByBlocks(f) {
		q.byBlocks = true
	} else {
		q.answered = true
	}
	return nil
}

// readWhole reads a file of a size, for its digest and its checksum in the manifest; the digest is
// nil where it cannot be read, or has another size by now.
func (r *run) readWhole(e output.Earlier, size int64) (digest, sum []byte, err error) {
	if e.File == nil || e.Size != size {
		return nil, nil, nil
	}
	h := r.digest.New()
	m := r.newSum()
	for at := int64(0); at < size; {
		if err := r.ctx.Err(); err != nil {
			return nil, nil, context.Cause(r.ctx)
		}
		n, err := e.ReadAt(r.piece[:min(int64(len(r.piece)), size-at)], at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			r.Progress(-at)
			return nil, nil, nil
		}
		h.Write(r.piece[:n])
		if m != nil && r.Sum != r.digest {
			m.Write(r.piece[:n])
		}
		at += int64(n)
		r.Progress(int64(n))
	}
	digest = h.Sum(nil)
	switch {
	case m == nil:
	case r.Sum == r.digest:
		sum = digest
	default:
		sum = m.Sum(nil)
	}
	return digest, sum, nil
}

func (r *run) newSum() hash.Hash {
	if r.NoSum {
		return nil
	}
	return r.Sum.New()
}

// keep makes a file one of the backup that is whole.
func (r *run) keep(q *question, size int64, sum []byte, fetched int64) error {
	f := q.file
	listed := f.Size
	f.Size, f.Checksum, f.Kept = size, string(sum), true
	r.dealtWith(q)
	return r.Kept(f, listed, fetched)
}
