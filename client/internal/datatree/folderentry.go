package datatree

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// holeSize is how many zeros in a row make a hole of a file: nothing is written then, and
// the file system keeps nothing. Sparse core files, and relations that were extended
// far ahead, take up as much as at their origin.
const holeSize = 64 << 10

// zeros is what a hole is read as.
var zeros [holeSize]byte

// folderEntry is a file in a directory.
type dirEntry struct {
	folders *dirSink
	name    string
	out     *os.File
	solid   bool  // without holes
	size    int64 // with the hole
	hole    int64 // zeros at the end that were not written
}

func (e *dirEntry) Add(data []byte) ([]byte, error) {
	for rest := data; len(rest) > 0; {
		n := e.leading(rest, true)
		if n > 0 {
			e.hole += int64(n)
		} else {
			n = e.leading(rest, false)
			if err := e.writeBehindHole(rest[:n]); err != nil {
				return nil, fmt.Errorf("could not write to file %q: %w", e.name, output.Cause(err))
			}
		}
		e.size += int64(n)
		rest = rest[n:]
	}
	return data, nil
}

// leading is how many bytes at the beginning of data make a hole, or make none. A hole
// lies within what arrives at once.
func (e *dirEntry) leading(data []byte, hole bool) int {
	if e.solid {
		if hole {
			return 0
		}
		return len(data)
	}
	n := 0
	for len(data)-n >= holeSize && bytes.Equal(data[n:n+holeSize], zeros[:]) == hole {
		n += holeSize
	}
	if !hole && len(data)-n < holeSize {
		return len(data)
	}
	return n
}

func (e *dirEntry) writeBehindHole(data []byte) error {
	if e.hole > 0 {
		if _, err := e.out.Seek(e.hole, io.SeekCurrent); err != nil {
			return err
		}
		e.hole = 0
	}
	_, err := e.out.Write(data)
	return err
}

func (e *dirEntry) Finish(io.Writer) error {
	if e.hole > 0 {
		if err := e.out.Truncate(e.size); err != nil {
			return fmt.Errorf("could not extend file %q: %w", e.name, output.Cause(err))
		}
	}
	if err := e.out.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", e.name, output.Cause(err))
	}
	return nil
}

func (e *dirEntry) Discard() error {
	e.out.Close() // what it says about the content is of no interest any more
	return e.folders.remove(e.name)
}
