package client

import (
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
	sum      hash.Hash // nil: no checksums are wanted
	progress *progress // nil: the files do not count
}

// incoming is a file that is being received.
type incoming struct {
	*receiver
	listed   *output.File
	out      output.Entry // nil until the server has begun to send
	size     int64
	copied   bool // CopyDone was seen
	complete bool // CommandComplete was seen
	refused  *protocol.Error
}

// receive reads the answer to SEND_FILE of f to its end and writes the file under
// name, which must not exist. What has arrived it tells piece by piece. It sets
// the size and the checksum of f. On an error it leaves no file; after the server's, a
// *protocol.Error, and a *changedError the connection can go on.
func (r *receiver) receive(c *wire.Conn, f *output.File, name string, arrived func(n int) error) error {
	r.sink.Meanwhile(c.ReadAhead)
	in := &incoming{receiver: r, listed: f}
	err := in.read(c, name, arrived)
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
		f.Checksum = string(r.sum.Sum(nil))
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
	if gone := (*wire.LostError)(nil); errors.As(err, &gone) {
		err = gone.Err
	}
	if changed := (*changedError)(nil); errors.As(err, &changed) {
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

func (in *incoming) read(c *wire.Conn, name string, arrived func(n int) error) error {
	for {
		kind, body, err := c.Next()
		if err != nil {
			return err
		}
		if kind == 'Z' {
			break
		}
		if err := in.message(kind, body, name); err != nil {
			return err
		}
		if kind == 'd' {
			if err := arrived(len(body)); err != nil {
				return err
			}
		}
	}
	if in.refused != nil {
		return in.refused
	}
	if !in.complete {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "server did not finish sending file %q", name)
	}
	return nil
}

// message takes a message of the answer: CopyOutResponse, CopyData*, CopyDone,
// CommandComplete; or ErrorResponse at any point of it.
func (in *incoming) message(kind byte, body []byte, name string) (err error) {
	switch copying := in.out != nil && !in.copied && in.refused == nil; {
	case kind == 'E' && in.refused == nil:
		in.refused, err = wire.DecodeError(body)
	case kind == 'H' && in.out == nil && in.refused == nil:
		in.out, err = in.sink.Create(in.listed, name)
		if in.sum != nil {
			in.sum.Reset()
		}
	case kind == 'd' && copying:
		err = in.write(body)
	case kind == 'c' && copying:
		in.copied = true
	case kind == 'C' && in.copied && !in.complete && in.refused == nil:
		in.complete = true
	default:
		err = wire.Unexpected(kind)
	}
	return err
}

func (in *incoming) write(data []byte) error {
	kept, err := in.out.Add(data)
	if err != nil {
		return err
	}
	if in.sum != nil {
		in.sum.Write(kept)
	}
	in.size += int64(len(data))
	in.count(int64(len(data)))
	return nil
}

func (in *incoming) count(n int64) {
	if in.progress != nil {
		in.progress.bytes.Add(n)
	}
}
