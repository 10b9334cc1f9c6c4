package client

import (
	"fmt"
	"io"
	"os"
)

// folderEntry is a file in a directory.
type folderEntry struct {
	folders *folders
	name    string
	out     *os.File
}

func (e *folderEntry) write(data []byte) ([]byte, error) {
	if _, err := e.out.Write(data); err != nil {
		return nil, fmt.Errorf("could not write to file %q: %w", e.name, cause(err))
	}
	return data, nil
}

func (e *folderEntry) finish(io.Writer) error {
	if err := e.out.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", e.name, cause(err))
	}
	return nil
}

func (e *folderEntry) discard() error {
	e.out.Close() // what it says about the content is of no interest any more
	return e.folders.remove(e.name)
}
