package client

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// receiver writes the files that a connection delivers. One goroutine uses it.
type receiver struct {
	sink     output.Sink
	sum      hash.Hash         // nil: no checksums are wanted
	digest   [sha512.Size]byte // where sum puts its digest
	progress *progress         // nil: the files do not count

	// For files that are copied by their descriptor.
	pages    bool            // whether those of relations have checksums that are to be verified
	canceled <-chan struct{} // closed when the receiver is to end
	pieces   *pieces         // memory for what is read of them
	lender   *queue          // whose workers lend their places while they wait
}

// incoming is a file that is being received.
type incoming struct {
	*receiver
	listed   *output.File
	name     string       // of what is written
	out      output.Entry // nil until the server has begun to send
	size     int64
	copied   bool // CopyDone was seen
	complete bool // CommandComplete was seen
	refused  *protocol.Error

	conn     *wire.Conn
	awaiting bool // a descriptor was asked for, and the answer has not begun or waits for CopyDone
	handed   bool // the answer is a descriptor
	by       way
	gaveUp   *givenUp // why the file was given up whose descriptor had come
}

// receive reads the answer to SEND_FILE of f, the only one that the connection owes, to its
// end. See begin and end.
func (r *receiver) receive(c *wire.Conn, f *output.File, name string) error {
	in := r.begin(c, f, name)
	for {
		kind, body, err := c.Next()
		more := false
		if err == nil {
			more, err = in.take(kind, body)
		}
		if !more || err != nil {
			return in.end(err)
		}
	}
}

// begin begins to receive f, of which the connection owes the content, and to write it under
// name, which must not exist. Each message of the answer has to go to take, and at last
// end has to be called.
func (r *receiver) begin(c *wire.Conn, f *output.File, name string) *incoming {
	r.sink.Meanwhile(c.ReadAhead)
	return &incoming{receiver: r, listed: f, name: name, conn: c}
}

// end completes the file where err is nil and the answer is at its end, and sets the size
// and the checksum of the listed file. On an error it leaves no file; after the server's, a
// *protocol.Error, and a *changedError the connection can go on.
func (in *incoming) end(err error) error {
	r, f := in.receiver, in.listed
	if err == nil {
		err = checkWhole(f, in.size)
	}
	if in.out != nil {
		if err == nil {
			err = in.out.Finish(r.filled())
		}
		if err != nil {
			err = in.discard(err)
		}
	}
	if err != nil {
		in.count(-in.size)
		return err
	}
	f.Size = in.size
	if r.sum != nil {
		f.Checksum = string(r.sum.Sum(r.digest[:0]))
	}
	return nil
}

// discard takes the file back, which err has ended. Where that cannot be done, the
// file must not be sent again, as a [wire.LostError] and a changedError would have it.
func (in *incoming) discard(err error) error {
	kept := in.out.Discard()
	if kept == nil {
		return err
	}
	if gone, ok := errors.AsType[*wire.LostError](err); ok {
		err = gone.Err
	}
	if changed, ok := errors.AsType[*changedError](err); ok {
		return fmt.Errorf("%v, and %w", changed, kept)
	}
	return fmt.Errorf("%w, and %w", err, kept)
}

// filled is where a sink says what it has added to a file.
func (r *receiver) filled() io.Writer {
	if r.sum == nil {
		return io.Discard
	}
	return r.sum
}

// take takes the next message of the answer, and reports whether there are more. The error
// of the server comes with the last one.
func (in *incoming) take(kind byte, body []byte) (more bool, err error) {
	switch {
	case kind != 'Z':
		return true, in.message(kind, body)
	case in.refused != nil:
		return false, in.refused
	case !in.complete:
		return false, protocol.Fatalf(protocol.CodeProtocolViolation, "server did not finish sending file %q", in.name)
	}
	return false, nil
}

// message takes a message of the answer: CopyOutResponse, CopyData*, CopyDone,
// CommandComplete; or ErrorResponse at any point of it.
func (in *incoming) message(kind byte, body []byte) (err error) {
	switch copying := in.out != nil && !in.copied && in.refused == nil; {
	case kind == 'E' && in.refused == nil:
		in.refused, err = wire.DecodeError(body)
		in.awaiting = false
	case kind == 'H' && in.out == nil && in.refused == nil:
		in.awaiting = false
		err = in.create()
	case kind == 'W' && in.awaiting && in.out == nil && in.refused == nil:
		in.handed = true
		err = in.create()
	case kind == 'd' && copying && in.handed:
		if !in.awaiting {
			return wire.Unexpected(kind)
		}
		err = in.handedOver(body)
	case kind == 'd' && copying:
		err = in.write(body)
	case kind == 'c' && copying && !(in.handed && (in.awaiting || in.gaveUp != nil)):
		in.copied = true
	case kind == 'C' && in.copied && !in.complete && in.refused == nil:
		in.complete = true
	default:
		err = wire.Unexpected(kind)
	}
	return err
}

// create begins the file.
func (in *incoming) create() (err error) {
	in.out, err = in.sink.Create(in.listed, in.name)
	if in.sum != nil {
		in.sum.Reset()
	}
	return err
}

func (in *incoming) write(data []byte) error {
	kept, err := in.out.Add(data)
	if err != nil {
		return err
	}
	in.took(kept, len(data))
	return nil
}

// took counts n bytes that have arrived, and sums up those of them that are kept.
func (in *incoming) took(kept []byte, n int) {
	if in.sum != nil {
		in.sum.Write(kept)
	}
	in.size += int64(n)
	in.count(int64(n))
}

func (in *incoming) count(n int64) {
	if in.progress != nil {
		in.progress.bytes.Add(n)
	}
}
