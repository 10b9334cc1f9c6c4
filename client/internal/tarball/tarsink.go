package tarball

import (
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// tarSink puts files into archives. One goroutine uses it.
type tarSink struct {
	archives *Archives
	batches  *batches
}

func (a *Archives) newSink() *tarSink { return &tarSink{archives: a, batches: &batches{}} }

func (s *tarSink) Meanwhile(do func()) { s.batches.meanwhile = do }

func (s *tarSink) HasWaited() bool {
	waited := s.batches.waited
	s.batches.waited = false
	return waited
}

func (s *tarSink) Create(f *output.File, name string) (output.Entry, error) {
	if h := s.archives.held[name]; h != nil {
		h.content = h.content[:0]
		return h, nil
	}
	archive, name := s.archives.locate(name)
	h := tarHeader{name: name, kind: tarRegular, size: f.Size, mode: s.archives.fileMode, modTime: f.ModTime}
	e, err := newTarEntry(archive, s.batches, h)
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (s *tarSink) Flush() error {
	if err := s.batches.flush(); err != nil {
		return fmt.Errorf("could not write to the archive: %w", output.Cause(err))
	}
	return nil
}

func (s *tarSink) Close() { s.batches.drop() }

// add adds a whole member under its path. The header lacks only the name.
func (s *tarSink) add(path string, h tarHeader, content []byte) error {
	archive, name := s.archives.locate(path)
	h.name = name
	return s.addTo(archive, h, content)
}

// addTo adds a whole member to an archive.
func (s *tarSink) addTo(archive archive, h tarHeader, content []byte) error {
	e, err := newTarEntry(archive, s.batches, h)
	if err != nil {
		return err
	}
	if _, err = e.Add(content); err == nil {
		err = e.Finish(io.Discard)
	}
	if err != nil {
		e.Discard() // the error to report is the one before
	}
	return err
}

// heldFile is a small file that is kept in memory.
type heldFile struct {
	name    string
	content []byte
}

// maxHeld is the most bytes that a held file may have. Real ones are far smaller.
const maxHeld = 16 << 20

func (h *heldFile) Add(data []byte) ([]byte, error) {
	if len(h.content)+len(data) > maxHeld {
		return nil, fmt.Errorf("file %q is too large: more than %d bytes", h.name, maxHeld)
	}
	h.content = append(h.content, data...)
	return data, nil
}

func (h *heldFile) Finish(io.Writer) error { return nil }

func (h *heldFile) Discard() error {
	h.content = nil
	return nil
}
