package tarball

import (
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
)

// archive is a tar file that is being written.
type archive interface {
	// open begins a member that takes size bytes, with its header and its padding. b are
	// the batches of the worker that writes the member.
	open(b *batches, size int64) (member, error)
	// finish writes the end of the archive and closes the file. All members must be
	// complete, and all batches flushed.
	finish(b *batches) error
	// close lets go of an archive that is not finished.
	close()
}

// member is what is being written of an archive: a header, its file and the padding. Its last
// call is a commit that succeeds, or discard.
type member interface {
	io.Writer
	commit() error
	discard() error
}

// tarEntry is a file on its way into an archive. The header of its member has the size that
// the file had when it was listed. A file that has grown since is cut off at that size, and a
// file that has shrunk is filled up with zeros. Both happen only to kinds of files that WAL
// replay makes good (§5.2).
type tarEntry struct {
	name   string
	member member
	size   int64
	left   int64 // still to come
}

// newTarEntry begins the member of a header.
func newTarEntry(a archive, b *batches, h tarHeader) (*tarEntry, error) {
	block, err := h.encode()
	if err != nil {
		return nil, err
	}
	m, err := a.open(b, int64(len(block))+h.size+tarheader.Padding(h.size))
	if err != nil {
		return nil, notWritten(h.name, err)
	}
	e := &tarEntry{name: h.name, member: m, size: h.size, left: h.size}
	if err := e.put(block); err != nil {
		m.discard() // the error to report is that of writing
		return nil, err
	}
	return e, nil
}

func (e *tarEntry) Add(data []byte) ([]byte, error) {
	data = data[:min(int64(len(data)), e.left)]
	if len(data) == 0 {
		return data, nil
	}
	e.left -= int64(len(data))
	return data, e.put(data)
}

func (e *tarEntry) Finish(sum io.Writer) error {
	for e.left > 0 {
		zeros := make([]byte, min(e.left, 128<<10))
		if _, err := e.Add(zeros); err != nil {
			return err
		}
		sum.Write(zeros)
	}
	if n := tarheader.Padding(e.size); n > 0 {
		if err := e.put(make([]byte, n)); err != nil {
			return err
		}
	}
	if err := e.member.commit(); err != nil {
		return notWritten(e.name, err)
	}
	return nil
}

func (e *tarEntry) Discard() error { return e.member.discard() }

func (e *tarEntry) put(data []byte) error {
	if _, err := e.member.Write(data); err != nil {
		return notWritten(e.name, err)
	}
	return nil
}

func notWritten(name string, err error) error {
	return fmt.Errorf("could not write file %q to the archive: %w", name, output.Cause(err))
}
