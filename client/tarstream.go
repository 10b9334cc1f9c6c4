package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// tarStream is an archive that is written from its beginning to its end: one that is
// compressed, or goes to where nobody can seek. The members that a worker appends in
// one turn are a frame of the compression's format; frames in a row are a valid file of
// it.
//
// Who has the turn waits for nobody but the server and the archive itself, so each
// turn ends, if only with the context of the backup.
type tarStream struct {
	turn        chan struct{} // holds a token while somebody has the turn
	out         io.Writer
	file        *os.File // out, where it can be cut off again; else nil
	written     int64
	compression Compression
}

func newTarStream(out io.Writer, c Compression) *tarStream {
	return &tarStream{turn: make(chan struct{}, 1), out: out, compression: c}
}

// Write appends to the archive. Only who has the turn may call it.
func (a *tarStream) Write(p []byte) (int, error) {
	n, err := a.out.Write(p)
	a.written += int64(n)
	return n, err
}

// open begins a member. A small one is written into the worker's batch; a large one
// has the turn until it is complete.
func (a *tarStream) open(b *batches, size int64) (slot, error) {
	if b.bytes+size > maxBatch {
		if err := b.flush(); err != nil {
			return nil, err
		}
	}
	if size <= maxBatch {
		return b.draft(a), nil
	}
	f, err := a.begin(b)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// begin takes the turn, and begins a frame.
func (a *tarStream) begin(b *batches) (*frame, error) {
	w, err := b.compressor(a.compression)
	if err != nil {
		return nil, err
	}
	a.await(b)
	w.Reset(a)
	return &frame{stream: a, compressor: w, start: a.written}, nil
}

// await waits for the turn.
func (a *tarStream) await(b *batches) {
	if b.meanwhile == nil {
		a.turn <- struct{}{}
		return
	}
	ticker := time.NewTicker(readAheadInterval)
	defer ticker.Stop()
	for {
		select {
		case a.turn <- struct{}{}:
			return
		case <-ticker.C:
			b.meanwhile()
		}
	}
}

// finish ends the archive, when nobody writes any more.
func (a *tarStream) finish(b *batches) error {
	f, err := a.begin(b)
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, tarTrailer)); err != nil {
		return errors.Join(err, f.discard())
	}
	if err := f.commit(); err != nil {
		return errors.Join(err, f.discard())
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

// frame is the turn of who writes to an archive.
type frame struct {
	stream     *tarStream
	compressor compressor
	start      int64
}

// Write implements io.Writer.
func (f *frame) Write(p []byte) (int, error) { return f.compressor.Write(p) }

func (f *frame) commit() error {
	if err := f.compressor.Close(); err != nil {
		return err
	}
	<-f.stream.turn
	return nil
}

func (f *frame) discard() error {
	a := f.stream
	defer func() { <-a.turn }()
	f.compressor.Reset(io.Discard)
	switch {
	case a.written == f.start:
		return nil
	case a.file == nil:
		return errors.New("a part of it has been written to where it cannot be taken back from")
	}
	err := a.file.Truncate(f.start)
	if err == nil {
		_, err = a.file.Seek(f.start, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("could not take back a part of file %q: %w", a.file.Name(), cause(err))
	}
	a.written = f.start
	return nil
}
