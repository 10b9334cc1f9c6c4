package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/pgparallel/pgparallel/protocol"
)

// source passes a manifest on and sums up all of it but the last line,
// which it keeps: that is where the sum stands.
type source struct {
	r    io.Reader
	sum  hash.Hash
	last []byte // the line that was begun last, with its line feed
}

func newSource(r io.Reader) *source {
	return &source{r: r, sum: sha256.New()}
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 {
		s.add(p[:n])
	}
	return n, err
}

func (s *source) add(b []byte) {
	if bytes.HasSuffix(s.last, []byte("\n")) {
		s.sumUp()
	}
	// A line feed at the very end of b begins no line yet.
	if i := bytes.LastIndexByte(b[:len(b)-1], '\n'); i >= 0 {
		s.sumUp()
		s.sum.Write(b[:i+1])
		b = b[i+1:]
	}
	s.last = append(s.last, b...)
}

func (s *source) sumUp() {
	s.sum.Write(s.last)
	s.last = s.last[:0]
}

// verify compares the sum with the checksum that the manifest gives. The checksum
// must begin the last line, or that would hold something that no sum covers.
func (s *source) verify(checksum string) error {
	if !bytes.HasPrefix(s.last, []byte(`"Manifest-Checksum"`)) {
		return errors.New("could not parse backup manifest: manifest checksum is not in the last line")
	}
	if !bytes.HasSuffix(s.last, []byte("\n")) {
		return errors.New("could not parse backup manifest: last line not newline-terminated")
	}
	want, err := hex.DecodeString(checksum)
	if err != nil || len(want) != s.sum.Size() {
		return fmt.Errorf("invalid manifest checksum: %q", protocol.Shorten(checksum, 128))
	}
	if !bytes.Equal(want, s.sum.Sum(nil)) {
		return errors.New("manifest checksum mismatch")
	}
	return nil
}
