package client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/page"
)

const (
	// leastDescribed is the size from which on a file is asked for by its descriptor (§8.4):
	// below it the round trip costs more than the bytes on a connection where they follow
	// each other. Where the line lies matters little: a cluster of 77,763 files on tmpfs,
	// 1,384 of them above 15 kB, took 5.00 s of CPU time of both ends from 16 KiB on, 5.11 s
	// from 64 KiB, 4.93 s from 128 KiB and 5.07 s from 512 KiB (one round each, busy machine).
	leastDescribed = 128 << 10
	// pieceSize is how much of a file is read at once: whole pages, and the piece stays in
	// a core's cache while it is verified, summed up and written. Of a clone, whose every piece
	// comes from the disk, pieceMemory is read at once.
	pieceSize = 128 << 10
	// directUnit is what the offsets and lengths are multiples of that are read past the
	// system's cache, in bytes.
	directUnit = 4 << 10
	// segmentPages is the number of pages in a file of a relation, unless PostgreSQL was
	// built otherwise. The pages of such a cluster look damaged from the second file on;
	// the server, which is asked then, knows better.
	segmentPages = 131072
)

// way is how the bytes of a file came.
type way int

const (
	byConnection way = iota
	byDescriptor     // read from the server's file
	byClone          // not at all: the copy shares the blocks of the server's file
)

// ways counts the files by how they came.
type ways [3]struct{ files, bytes atomic.Int64 }

func (w *ways) add(by way, bytes int64) {
	w[by].files.Add(1)
	w[by].bytes.Add(bytes)
}

// String says it for the user. Sizes are in kB, as progress has them.
func (w *ways) String() string {
	text := func(by way) string {
		return fmt.Sprintf("%d (%d kB)", w[by].files.Load(), w[by].bytes.Load()/1024)
	}
	return fmt.Sprintf("files: %s cloned, %s copied by descriptor, %s over the connection", text(byClone), text(byDescriptor), text(byConnection))
}

// describable reports whether the file is to be asked for by its descriptor.
func (w *worker) describable(f *output.File) bool {
	return w.describe && f.Size >= leastDescribed && !f.ByCopy && w.conn.TakesDescriptors()
}

// errCanceled ends a copy whose backup has ended; the reason is known elsewhere.
var errCanceled = errors.New("canceled")

// givenUp says why a file was given up whose descriptor had come: the server is asked to
// send it instead.
type givenUp struct{ why string }

func (g *givenUp) Error() string { return g.why }

// handedOver takes the file whose descriptor the server has handed over, and whose size is
// count, and says at its end whether it was copied. An error is of this side, or of a server that
// breaks the protocol.
func (in *incoming) handedOver(count []byte) error {
	in.awaiting = false
	size, err := strconv.ParseUint(string(count), 10, 63)
	if err != nil {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "server sent %q for the size of file %q", protocol.Shorten(string(count), 64), in.name)
	}
	file := in.conn.Descriptor()
	if file == nil {
		in.gaveUp = &givenUp{"no descriptor has arrived"}
		return in.conn.CopyFail(in.gaveUp.why)
	}
	defer file.Close()
	if err := checkDescriptor(file); err != nil {
		return protocol.Fatalf(protocol.CodeProtocolViolation, "server sent a descriptor of no use for file %q: %v", in.name, err)
	}
	err = in.copyFrom(file, int64(size))
	if gaveUp, ok := errors.AsType[*givenUp](err); ok {
		in.gaveUp = gaveUp
		return in.conn.CopyFail(gaveUp.why)
	}
	if err != nil {
		return err
	}
	return in.conn.CopyDone()
}

// checkDescriptor makes sure that a descriptor is of a regular file that is open for reading.
func checkDescriptor(file *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("it is not of a regular file")
	}
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return errors.New("it is open for writing")
	}
	return nil
}

// copyFrom copies up to size bytes of the server's file, by sharing its blocks or by reading
// it. The bytes are read once either way, for the page checksums and the manifest. A clone is
// read itself, for the server's file goes on changing.
func (in *incoming) copyFrom(file *os.File, size int64) error {
	c := &described{incoming: in, file: file, content: file, size: size}
	in.by = byDescriptor
	if cloner, ok := in.out.(output.Cloner); ok {
		clone, err := cloner.Clone(file, size)
		switch {
		case err == nil:
			c.content, in.by = clone, byClone
		case !errors.Is(err, errors.ErrUnsupported):
			return err
		}
	}
	if c.divide() {
		return c.copyTogether()
	}
	piece := in.pieces.take()
	defer in.pieces.put(piece)
	return c.copyRange(0, size, piece, func(data []byte, _ int64) error {
		if in.by != byClone {
			return in.write(data)
		}
		in.took(data, len(data)) // a clone has it already
		return nil
	})
}

// described is a file of which there is a descriptor.
type described struct {
	*incoming
	file    *os.File // the server's
	content *os.File // what is read: that file, or its clone
	size    int64    // at most
	divided
}

// copyRange reads the file from an offset up to another, or to its end if that comes before. It
// verifies what it has read, and gives it to add.
func (c *described) copyRange(from, to int64, piece []byte, add func(data []byte, at int64) error) error {
	if c.by != byClone {
		piece = piece[:pieceSize]
	}
	for at := from; at < to; {
		select {
		case <-c.canceled:
			return errCanceled
		default:
		}
		want := piece[:min(int64(len(piece)), roundUp(to-at))]
		n, err := c.content.ReadAt(want, at)
		if err != nil && !errors.Is(err, io.EOF) && int64(n) < to-at {
			return &givenUp{fmt.Sprintf("could not read file %q: %v", c.name, output.Cause(err))}
		}
		data := want[:min(int64(n), to-at)] // the file may have grown
		if err := c.verify(data, at); err != nil {
			return err
		}
		if err := add(data, at); err != nil {
			return err
		}
		if n < len(want) {
			return nil // the file ends here; it may have become shorter
		}
		at += int64(len(data))
	}
	return nil
}

// roundUp is the least multiple of what can be read past the system's cache that is not below n.
func roundUp(n int64) int64 { return (n + directUnit - 1) / directUnit * directUnit }

// verify looks at the pages that lie at an offset, if the file has any. A page that is not whole
// may have been read while it was written, and is read again, into data. One in a clone is what it
// is. Whether replay makes up for the page, only the server knows: it is asked for the file.
func (c *described) verify(data []byte, offset int64) error {
	if !c.pages || protocol.KindOfPath(c.listed.Path) != protocol.PathRelation {
		return nil
	}
	relation, _ := protocol.ParseRelation(path.Base(c.listed.Path))
	block := relation.Segment*segmentPages + uint32(offset/page.Size)
	for at := 0; at < len(data); at, block = at+page.Size, block+1 {
		content := data[at:min(at+page.Size, len(data))]
		if wholePage(content, block) {
			continue
		}
		if c.by != byClone {
			if n, _ := c.file.ReadAt(content, offset+int64(at)); n == len(content) && wholePage(content, block) {
				continue
			}
		}
		return &givenUp{fmt.Sprintf("block %d of file %q is not whole", block, c.name)}
	}
	return nil
}

func wholePage(content []byte, block uint32) bool {
	if len(content) < page.Size {
		return false
	}
	whole, _, _ := page.Verify(content, block)
	return whole
}

// askForCopy returns the file that was asked for first to the queue: next time the server is
// to send it.
func (w *worker) askForCopy(why error) {
	i := w.asked[0].index
	f := w.files.At(i)
	w.tell(LevelVerbose, "%v: the server is asked to send the file", why)
	f.ByCopy = true
	w.waiting.Add(f.Size)
	w.forget()
	w.queue.putBack(i)
}
