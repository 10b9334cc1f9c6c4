package refresh

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// span is a part of a file, in bytes.
type span struct{ from, to int64 }

// compareBlocks compares a file by the digests of its blocks, which are computed here while the
// server computes its own.
func (r *run) compareBlocks(q *question, e output.Earlier) error {
	q.answered = true
	if r.addsUp() {
		q.sums = blockSums{}
	}
	ours, err := r.readBlocks(q, e)
	if err != nil {
		return err
	}
	m := matcher{question: q, ours: ours, length: r.digest.Size()}
	refused, err := readCopy(r.conn, q.file.Path, m.take)
	if err != nil {
		return err
	}
	if refused == nil && len(m.part) == 0 {
		q.blocks = m.blocks
	}
	return nil
}

// addsUp reports whether the checksum of a file is had from those of its blocks: any other
// than CRC-32C takes another look at the file.
func (r *run) addsUp() bool { return !r.NoSum && r.Sum == manifest.ChecksumCRC32C }

// readBlocks is the digests of the blocks of a file, as far as it can be read.
func (r *run) readBlocks(q *question, e output.Earlier) ([]byte, error) {
	if e.File == nil {
		return nil, nil
	}
	sum := r.digest.New()
	digests := make([]byte, 0, (e.Size/BlockSize+1)*int64(sum.Size()))
	for at := int64(0); at < e.Size; {
		if r.ctx.Err() != nil {
			return nil, context.Cause(r.ctx)
		}
		n, err := e.ReadAt(r.piece[:min(int64(len(r.piece)), e.Size-at)], at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			return digests, nil
		}
		for from := 0; from < n; from += BlockSize {
			sum.Reset()
			sum.Write(r.piece[from:min(from+BlockSize, n)])
			digests = sum.Sum(digests)
		}
		if q.sums != nil {
			q.sums.add(r.piece[:n], at)
		}
		at += int64(n)
	}
	return digests, nil
}

// matcher holds the server's digests against ours as they arrive.
type matcher struct {
	*question
	ours   []byte // the digests of all blocks, one behind the other
	length int    // of one
	part   []byte // of one that has not arrived to its end
	blocks int64  // how many have arrived
}

func (m *matcher) take(payload []byte) error {
	for len(payload) > 0 {
		n := min(m.length-len(m.part), len(payload))
		m.part, payload = append(m.part, payload[:n]...), payload[n:]
		if len(m.part) < m.length {
			return nil
		}
		at := m.blocks * int64(m.length)
		if at >= int64(len(m.ours)) || !bytes.Equal(m.ours[at:at+int64(m.length)], m.part) {
			m.differ(m.blocks)
		}
		m.blocks, m.part = m.blocks+1, m.part[:0]
	}
	return nil
}

// differ notes that a block differs.
func (q *question) differ(block int64) {
	from, to := block*BlockSize, (block+1)*BlockSize
	if last := len(q.differs) - 1; last >= 0 && q.differs[last].to == from && to-q.differs[last].from <= longestSpan {
		q.differs[last].to = to
		return
	}
	q.differs = append(q.differs, span{from, to})
}
