package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	// MaxFrame is the largest payload of a CopyData message (§4.6), in bytes.
	MaxFrame = 1 << 20
	// DefaultFrame is the payload that a sender fills unless it knows better,
	// in bytes: system calls are few, and the buffer stays in a core's cache.
	DefaultFrame = 128 << 10
)

// frameHeader is the length of a message's header: its type and its length.
const frameHeader = 5

// FrameWriter sends file data as CopyData messages without copying it: a file is
// read into the writer's buffer, and the header goes in front of it there. One
// goroutine uses it, and nobody else may write to the connection meanwhile.
type FrameWriter struct {
	w     io.Writer
	whole []byte // whole[start:] is the payload, at a page's boundary; the header goes before it
	start int
}

// NewFrameWriter makes a writer of messages with a payload of up to size bytes.
// A size of 0 or less means [DefaultFrame], one over [MaxFrame] means MaxFrame.
func NewFrameWriter(w io.Writer, size int) *FrameWriter {
	if size <= 0 {
		size = DefaultFrame
	}
	whole, start := pageAligned(min(size, MaxFrame))
	return &FrameWriter{w: w, whole: whole, start: start}
}

// Reset lets a writer be used anew, for another connection, with the buffer that it has.
func (f *FrameWriter) Reset(w io.Writer) { f.w = w }

// Buffer is where the payload goes, as long as the size that the writer was made
// with. It is the same memory at each call, and begins at a boundary of the system's
// pages: files are read into it at full speed.
func (f *FrameWriter) Buffer() []byte { return f.whole[f.start:] }

// WriteFrame sends Buffer()[from:to] as one message, with one Write. The header
// overwrites the five bytes before from: what is sent in pieces is sent in
// ascending order. A range outside of the buffer is a mistake of the program and
// panics as a slice expression does. The error is the connection's, wrapped.
func (f *FrameWriter) WriteFrame(from, to int) error {
	message := f.Frame(from, to)
	n, err := f.w.Write(message)
	if err == nil && n < len(message) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("could not send copy data: %w", err)
	}
	return nil
}

// Frame is the message that WriteFrame would send, for a caller who has another way to send
// it. The header overwrites the five bytes before from, and the result is valid until the
// buffer is written to.
func (f *FrameWriter) Frame(from, to int) []byte {
	_ = f.Buffer()[from:to] // what lies before the buffer is not for the caller
	message := f.whole[f.start+from-frameHeader : f.start+to]
	putFrameHeader(message, to-from)
	return message
}

// putFrameHeader writes the header of a CopyData message with a payload of n bytes.
func putFrameHeader(dst []byte, n int) {
	dst[0] = 'd'
	binary.BigEndian.PutUint32(dst[1:frameHeader], uint32(n+4))
}
