package tarball

import "bytes"

// maxBatch bounds what a worker keeps of members that are not in their archive yet: as
// they are, and once more compressed. The compressors' own memory comes on top.
const maxBatch = 4 << 20

// batches is a worker's small members that wait to be appended together: compression
// is of no use to each alone, and taking turns costs time. One goroutine uses it.
type batches struct {
	pending []*batch
	bytes   int64 // of all
	frames  compressor
	packed  bytes.Buffer
	// meanwhile is called while somebody else has the turn; nil: nothing is to be done.
	meanwhile func()
	waited    bool // long enough for meanwhile to be called
}

// batch is the members for one archive.
type batch struct {
	archive *tarStream
	content []byte
}

// draft begins a member in the batch for an archive.
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

// compressor is the worker's own, to be reset before it is used.
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

// draft is a member that is written into a batch.
type batchMember struct {
	batches *batches
	batch   *batch
	start   int
}

// Write implements io.Writer.
func (d *batchMember) Write(p []byte) (int, error) {
	d.batch.content = append(d.batch.content, p...)
	d.batches.bytes += int64(len(p))
	return len(p), nil
}

func (d *batchMember) commit() error { return nil }

func (d *batchMember) discard() error {
	d.batches.bytes -= int64(len(d.batch.content) - d.start)
	d.batch.content = d.batch.content[:d.start]
	return nil
}
