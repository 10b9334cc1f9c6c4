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
	// a core's cache while it is verified, summed up and written.
	pieceSize = 128 << 10
	// clonePiece is the same for a clone, whose every piece comes from the disk.
	clonePiece = 512 << 10
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
	content := file
	in.by = byDescriptor
	if cloner, ok := in.out.(output.Cloner); ok {
		clone, err := cloner.Clone(file, size)
		switch {
		case err == nil:
			content, in.by = clone, byClone
		case !errors.Is(err, errors.ErrUnsupported):
			return err
		}
	}
	piece := in.buffer()
	for in.size < size {
		select {
		case <-in.canceled:
			return errCanceled
		default:
		}
		left := size - in.size
		n, err := content.ReadAt(piece, in.size)
		if err != nil && !errors.Is(err, io.EOF) && int64(n) < left {
			return &givenUp{fmt.Sprintf("could not read file %q: %v", in.name, output.Cause(err))}
		}
		data := piece[:min(int64(n), left)] // the file may have grown
		if err := in.verify(data, file); err != nil {
			return err
		}
		if err := in.keep(data); err != nil {
			return err
		}
		if n < len(piece) {
			return nil // the file ends here; it may have become shorter
		}
	}
	return nil
}

// buffer is where pieces are read to. So large a slice lies at a boundary of pages, as reading
// past the system's cache needs it.
func (in *incoming) buffer() []byte {
	size := pieceSize
	if in.by == byClone {
		size = clonePiece
	}
	if len(in.piece) < size {
		in.piece = make([]byte, size)
	}
	return in.piece[:size]
}

// keep takes the next bytes of the file, which a clone has already.
func (in *incoming) keep(data []byte) error {
	if in.by != byClone {
		return in.write(data)
	}
	in.took(data, len(data))
	return nil
}

// verify looks at the pages that come next, if the file has any. A page that is not whole may
// have been read while it was written, and is read again, into data. One in a clone is what it
// is. Whether replay makes up for the page, only the server knows: it is asked for the file.
func (in *incoming) verify(data []byte, file *os.File) error {
	if !in.pages || protocol.KindOfPath(in.listed.Path) != protocol.PathRelation {
		return nil
	}
	relation, _ := protocol.ParseRelation(path.Base(in.listed.Path))
	block := relation.Segment*segmentPages + uint32(in.size/page.Size)
	for at := 0; at < len(data); at, block = at+page.Size, block+1 {
		content := data[at:min(at+page.Size, len(data))]
		if wholePage(content, block) {
			continue
		}
		if in.by != byClone {
			if n, _ := file.ReadAt(content, in.size+int64(at)); n == len(content) && wholePage(content, block) {
				continue
			}
		}
		return &givenUp{fmt.Sprintf("block %d of file %q is not whole", block, in.name)}
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
