package tarball

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// tarStream is an archive that is written from its beginning to its end, because it is
// compressed, or because its destination cannot seek. It consists of parts: a worker compresses
// a part, many small members or one large member, and appends it in one turn. With gzip all
// parts together are one gzip member; with the other methods each part is a frame, and frames
// in a row are a valid file.
//
// A worker that has the turn waits for nothing but the server and the archive. So each turn
// ends, at the latest with the context of the backup.
type tarStream struct {
	turns       turns
	out         io.Writer
	file        *os.File // out, where it can be cut off again; else nil
	written     int64
	compression Compression
	sum         gzipSum // of what was compressed
	appendOnly  bool    // nothing can be cut off of file, so large members come complete
	// spill makes a file without a name, for a part that is compressed before its turn;
	// nil: there is no directory for such a file.
	spill func() (*os.File, error)
}

func newTarStream(out io.Writer, c Compression) *tarStream {
	return &tarStream{out: out, compression: c}
}

// Write appends to the archive. Only the worker that has the turn may call it.
func (a *tarStream) Write(p []byte) (int, error) {
	n, err := a.out.Write(p)
	a.written += int64(n)
	return n, err
}

// open begins a member. A small member is written into the worker's batch. A large one goes
// straight into the archive, or is compressed into a file while another worker has the turn.
func (a *tarStream) open(b *batches, size int64) (member, error) {
	if b.bytes+size > maxBatch {
		if err := b.flush(); err != nil {
			return nil, err
		}
	}
	if size <= maxBatch {
		return b.member(a), nil
	}
	w, err := b.compressor(a.compression)
	if err != nil {
		return nil, err
	}
	switch {
	case !a.appendOnly && a.turns.try():
	case a.spill != nil:
		return newSpilled(a, b, w)
	default:
		a.await(b)
	}
	return a.begin(w)
}

// begin begins a part. The caller has the turn.
func (a *tarStream) begin(w compressor) (*part, error) {
	if a.written == 0 && a.compression.Method == CompressionGzip {
		if _, err := a.Write(gzipHeader); err != nil {
			a.turns.pass()
			return nil, err
		}
	}
	w.Reset(a)
	return &part{stream: a, compressor: w, start: a.written}, nil
}

// await waits for the turn.
func (a *tarStream) await(b *batches) {
	come := a.turns.ask()
	if b.meanwhile == nil {
		<-come
		return
	}
	ticker := time.NewTicker(output.ReadAheadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-come:
			return
		case <-ticker.C:
			b.waited = true
			b.meanwhile()
		}
	}
}

// append appends a part that w has compressed.
func (a *tarStream) append(b *batches, w compressor, compressed io.Reader) error {
	a.await(b)
	p, err := a.begin(&uncompressed{})
	if err != nil {
		return err
	}
	defer a.turns.pass()
	if _, err := io.Copy(p, compressed); err != nil {
		return err
	}
	a.count(w)
	return nil
}

// count adds what w has compressed to the checksum of the archive.
func (a *tarStream) count(w compressor) {
	if d, ok := w.(*deflater); ok {
		a.sum.add(d.sum)
	}
}

// finish ends the archive. No worker writes any more.
func (a *tarStream) finish(b *batches) error {
	w, err := b.compressor(a.compression)
	if err != nil {
		return err
	}
	a.await(b)
	p, err := a.begin(w)
	if err != nil {
		return err
	}
	if _, err := p.Write(make([]byte, tarTrailer)); err != nil {
		return errors.Join(err, p.discard())
	}
	if err := p.commit(); err != nil {
		return errors.Join(err, p.discard())
	}
	if a.compression.Method == CompressionGzip {
		if _, err := a.Write(a.sum.trailer()); err != nil {
			return err
		}
	}
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

func (a *tarStream) close() {
	if a.file != nil {
		a.file.Close()
	}
}

// takeBack cuts the archive off at start.
func (a *tarStream) takeBack(start int64) error {
	switch {
	case a.written == start:
		return nil
	case a.file == nil:
		return errors.New("a part of it has been written to where it cannot be taken back from")
	}
	err := a.file.Truncate(start)
	if err == nil {
		_, err = a.file.Seek(start, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("could not take back a part of file %q: %w", a.file.Name(), output.Cause(err))
	}
	a.written = start
	return nil
}

// part is a part of an archive that is written straight into it. It has the turn.
type part struct {
	stream     *tarStream
	compressor compressor
	start      int64
}

func (p *part) Write(data []byte) (int, error) { return p.compressor.Write(data) }

func (p *part) commit() error {
	if err := p.compressor.Close(); err != nil {
		return err
	}
	p.stream.count(p.compressor)
	p.stream.turns.pass()
	return nil
}

func (p *part) discard() error {
	defer p.stream.turns.pass()
	p.compressor.Reset(io.Discard)
	return p.stream.takeBack(p.start)
}
