package tarball

import (
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// tarSink puts files into archives.
type tarSink struct {
	*Archives
	batches *batches
}

func (a *Archives) newSink() *tarSink { return &tarSink{a, &batches{}} }

func (s *tarSink) Meanwhile(do func()) { s.batches.meanwhile = do }

func (s *tarSink) HasWaited() bool {
	waited := s.batches.waited
	s.batches.waited = false
	return waited
}

func (s *tarSink) Create(f *output.File, name string) (output.Entry, error) {
	if h := s.held[name]; h != nil {
		h.content = h.content[:0]
		return h, nil
	}
	archive, name := s.locate(name)
	h := tarHeader{name: name, kind: tarRegular, size: f.Size, mode: s.fileMode, modTime: f.ModTime}
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

// add adds a member as a whole. Its header lacks only the name.
func (s *tarSink) add(path string, h tarHeader, content []byte) error {
	archive, name := s.locate(path)
	h.name = name
	return s.addTo(archive, h, content)
}

// addTo adds a member as a whole to an archive.
func (s *tarSink) addTo(archive archive, h tarHeader, content []byte) error {
	e, err := newTarEntry(archive, s.batches, h)
	if err != nil {
		return err
	}
	if _, err = e.Add(content); err == nil {
		err = e.Finish(io.Discard)
	}
	if err != nil {
		e.Discard() // why it is not there is what there is to tell
	}
	return err
}

// heldFile is a small file that is kept in memory.
type heldFile struct {
	name    string
	content []byte
}

// maxHeld is the most that a held file may have: of those that are held, none comes
// near it.
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
