package tarball

import "bytes"

// maxBatch is the most bytes of members that a worker keeps before it appends them to their
// archives. It keeps them once as they are and once compressed; the memory of the compressor
// comes on top.
const maxBatch = 4 << 20

// batches are the small members of a worker, which it appends together: a small member alone
// compresses badly, and taking turns costs time. One goroutine uses them.
type batches struct {
	pending []*batch
	bytes   int64 // of all
	frames  compressor
	packed  bytes.Buffer
	// meanwhile is called while another worker has the turn; nil: nothing is to be done.
	meanwhile func()
	waited    bool // long enough for meanwhile to be called
}

// batch is the members for one archive, one behind the other.
type batch struct {
	archive *tarStream
	content []byte
}

// member begins a member in the batch for an archive.
func (b *batches) member(a *tarStream) *batchMember {
	for _, p := range b.pending {
		if p.archive == a {
			return &batchMember{batches: b, batch: p, start: len(p.content)}
		}
	}
	p := &batch{archive: a}
	b.pending = append(b.pending, p)
	return &batchMember{batches: b, batch: p}
}

// compressor is the worker's own. It must be reset before it is used.
func (b *batches) compressor(c Compression) (compressor, error) {
	if b.frames == nil {
		w, err := c.compressor()
		if err != nil {
			return nil, err
		}
		b.frames = w
	}
	return b.frames, nil
}

// flush appends all batches to their archives.
func (b *batches) flush() error {
	for _, p := range b.pending {
		if err := b.append(p); err != nil {
			return err
		}
	}
	b.drop()
	return nil
}

// append compresses a batch before its turn comes, while other batches are written.
func (b *batches) append(p *batch) error {
	if len(p.content) == 0 {
		return nil
	}
	w, err := b.compressor(p.archive.compression)
	if err != nil {
		return err
	}
	b.packed.Reset()
	w.Reset(&b.packed)
	if _, err := w.Write(p.content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return p.archive.append(b, w, &b.packed)
}

// drop forgets all batches.
func (b *batches) drop() { b.pending, b.bytes = nil, 0 }

// batchMember is a member that is written into a batch.
type batchMember struct {
	batches *batches
	batch   *batch
	start   int
}

func (m *batchMember) Write(p []byte) (int, error) {
	m.batch.content = append(m.batch.content, p...)
	m.batches.bytes += int64(len(p))
	return len(p), nil
}

func (m *batchMember) commit() error { return nil }

func (m *batchMember) discard() error {
	m.batches.bytes -= int64(len(m.batch.content) - m.start)
	m.batch.content = m.batch.content[:m.start]
	return nil
}
