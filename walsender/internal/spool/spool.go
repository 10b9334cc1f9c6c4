// Package spool keeps bytes that are written first and read once, later: a few in
// memory, many in a file that has no name.
package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// InMemory is how much a Spool keeps in memory, in bytes.
const InMemory = 4 << 20

// Spool is such a store. The zero value is empty and ready. One goroutine uses it, and
// calls Close in the end.
type Spool struct {
	buffer bytes.Buffer
	file   *os.File
}

// Write appends p.
func (s *Spool) Write(p []byte) (int, error) {
	if s.file == nil && s.buffer.Len()+len(p) <= InMemory {
		return s.buffer.Write(p)
	}
	if err := s.spill(); err != nil {
		return 0, err
	}
	return s.file.Write(p)
}

// spill moves what there is to a file, which goes with its last descriptor.
func (s *Spool) spill() error {
	if s.file != nil {
		return nil
	}
	file, err := os.CreateTemp("", "pgparallel-spool-*")
	if err != nil {
		return err
	}
	s.file = file
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	_, err = s.buffer.WriteTo(file)
	s.buffer = bytes.Buffer{}
	return err
}

// WriteTo writes everything to w, from the beginning.
func (s *Spool) WriteTo(w io.Writer) (int64, error) {
	if s.file == nil {
		return s.buffer.WriteTo(w)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	return io.CopyBuffer(w, onlyReader{s.file}, make([]byte, 64<<10))
}

// onlyReader hides what else a file can do, which would need no buffer.
type onlyReader struct{ io.Reader }

// Close gives the memory and the file back. A second call does nothing.
func (s *Spool) Close() error {
	s.buffer = bytes.Buffer{}
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
