package datatree

import (
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// partialSuffix is behind the name of a WAL file that is being received.
const partialSuffix = ".partial"

// walSink gives a file its name when it is whole and on disk.
type walSink struct{ dirSink }

func (s *walSink) Create(f *output.File, name string) (output.Entry, error) {
	e, err := s.dirSink.Create(f, name+partialSuffix)
	if err != nil {
		return nil, err
	}
	return &walEntry{Entry: e, target: s.target, name: name}, nil
}

// walEntry is a WAL file on its way.
type walEntry struct {
	output.Entry
	target *Tree
	name   string
}

func (e *walEntry) Finish(sum io.Writer) error {
	if err := e.Entry.Finish(sum); err != nil {
		return err
	}
	if e.target.sync {
		if err := e.target.syncFile(e.name + partialSuffix); err != nil {
			return err
		}
	}
	return e.target.Rename(e.name+partialSuffix, e.name, false) // the directory is synchronized with all others
}
