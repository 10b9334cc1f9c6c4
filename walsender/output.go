package walsender

import (
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// outputSize is how much is gathered before it is written: rows and small files
// share writes, large frames go out directly.
const outputSize = 64 << 10

// output gathers what a session says. Messages are encoded straight into its
// buffer: pgproto3's Backend would copy them, and drops its buffer at each flush.
type output struct {
	w    io.Writer
	buf  []byte
	said int64 // bytes handed in so far; those that a lost connection drops are among them
}

func newOutput(w io.Writer) *output { return &output{w: w} }

// rest gives the buffer back, which is empty after a flush: a session that has nothing to
// say takes little memory.
func (o *output) rest() {
	if len(o.buf) == 0 {
		o.buf = nil
	}
}

// bytesSaid counts the bytes of everything said so far, gathered ones included.
func (o *output) bytesSaid() int64 { return o.said }

// send appends a message, and writes when much has gathered.
func (o *output) send(m pgproto3.BackendMessage) error {
	buf, err := m.Encode(o.buf)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", m, err)
	}
	return o.gather(buf)
}

// The messages around each file, as pgproto3 encodes them.
const (
	copyOutResponse  = "H\x00\x00\x00\x07\x00\x00\x00" // format 0, no columns
	copyDone         = "c\x00\x00\x00\x04"
	sendFileComplete = "C\x00\x00\x00\x0eSEND_FILE\x00" // CommandComplete
	readyForQuery    = "Z\x00\x00\x00\x05I"
)

// sendEncoded appends messages that are encoded, as send does.
func (o *output) sendEncoded(messages string) error { return o.gather(append(o.buf, messages...)) }

// sendFileRow appends a row of a listing, as send does.
func (o *output) sendFileRow(f protocol.File, checksums bool) error {
	if checksums {
		return o.gather(wire.AppendFileChecksumRow(o.buf, f))
	}
	return o.gather(wire.AppendFileRow(o.buf, f))
}

// gather takes the buffer with a message more in it, and writes when much has gathered.
func (o *output) gather(buf []byte) error {
	o.said += int64(len(buf) - len(o.buf))
	o.buf = buf
	if len(o.buf) >= outputSize/2 {
		return o.flush()
	}
	return nil
}

// Write appends a small p and writes a large one directly, after what has
// gathered. It is what frames are written to.
func (o *output) Write(p []byte) (int, error) {
	o.said += int64(len(p))
	if len(o.buf)+len(p) <= outputSize {
		o.buf = append(o.buf, p...)
		return len(p), nil
	}
	if err := o.flush(); err != nil {
		return 0, err
	}
	if len(p) <= outputSize/2 {
		o.buf = append(o.buf, p...)
		return len(p), nil
	}
	return o.write(p)
}

// flush writes what has gathered.
func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	_, err := o.write(o.buf)
	o.buf = o.buf[:0]
	return err
}

func (o *output) write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		err = lostError{err}
	}
	return n, err
}
