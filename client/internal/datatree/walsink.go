package datatree

import (
	"io"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// partialSuffix is behind the name of a WAL file that is being received.
const partialSuffix = ".partial"

// walSink takes WAL that is streamed. A file of it gets its name when it is whole and on disk.
type walSink struct{ dirSink }

func (s *walSink) Create(f *output.File, name string) (output.Entry, error) {
	e, err := s.dirSink.Create(f, name+partialSuffix)
	if err != nil {
		return nil, err
	}
	return &walEntry{Entry: e, tree: s.tree, name: name}, nil
}

// walEntry is a WAL file on its way.
type walEntry struct {
	output.Entry
	tree *Tree
	name string
}

func (e *walEntry) Finish(sum io.Writer) error {
	if err := e.Entry.Finish(sum); err != nil {
		return err
	}
	if !e.tree.NoSync {
		if err := e.tree.syncFile(e.name + partialSuffix); err != nil {
			return err
		}
	}
	return e.tree.Rename(e.name+partialSuffix, e.name, false) // Release synchronizes the directory
}
