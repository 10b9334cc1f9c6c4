package tarball

import (
	"bufio"
	"io"
	"os"
)

// spilled is a large member that is compressed into a file of its own while other workers have
// their turns with the archive. One goroutine uses it.
type spilled struct {
	stream     *tarStream
	batches    *batches
	compressor compressor
	file       *os.File
	buffer     *bufio.Writer
}

func newSpilled(a *tarStream, b *batches, w compressor) (*spilled, error) {
	file, err := a.spill()
	if err != nil {
		return nil, err
	}
	s := &spilled{stream: a, batches: b, compressor: w, file: file, buffer: bufio.NewWriterSize(file, 128<<10)}
	w.Reset(s.buffer)
	return s, nil
}

func (s *spilled) Write(p []byte) (int, error) { return s.compressor.Write(p) }

func (s *spilled) commit() error {
	err := s.compressor.Close()
	if err == nil {
		err = s.buffer.Flush()
	}
	if err == nil {
		_, err = s.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = s.stream.append(s.batches, s.compressor, s.file)
	}
	if err != nil {
		return err
	}
	s.file.Close() // it has no name, and its content is in the archive
	return nil
}

func (s *spilled) discard() error {
	s.compressor.Reset(io.Discard)
	s.file.Close() // as above
	return nil
}
