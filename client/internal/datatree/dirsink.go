package datatree

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// dirSink creates files in directories that it keeps open, which takes a sixth of the time
// of walking to a directory for each file. Files arrive by size, and those of one size, as
// the smallest are, in the order of their paths. One goroutine uses a dirSink.
//
// A directory is found by its os.Root, which no link leads out of. A file is then created by
// its name in it, which has no slash, and only if there is nothing of the name: what os.Root
// does beyond that, for any path and any kind of file, would take a fifth of the time of a
// small file.
type dirSink struct {
	tree *Tree
	open map[string]*openDirectory // by path; "" for the data directory
	last *openDirectory            // where the latest file is; nil: none
}

// openDirectory is a directory that is kept open.
type openDirectory struct {
	path string
	file *os.File
	fd   int
	mode modeThere
}

// modeThere is which mode files get that are created in a directory. It is the same for all: the
// umask and the directory's default ACL take away what they take.
type modeThere int

const (
	modeUnknown modeThere = iota // none was created yet
	modeKept                     // the one that was asked for
	modeCut                      // another one: it has to be set
)

// Create creates a file, which must not exist. WAL gets no holes: the server writes into its
// segments, and a full disk would stop it.
func (d *dirSink) Create(f *output.File, path string) (output.Entry, error) {
	dir, name, err := d.find(path)
	if err != nil {
		return nil, err
	}
	out, err := createIn(dir.fd, name, d.tree.fileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file %q: %w", path, err)
	}
	if err := dir.setMode(&out, d.tree.fileMode); err != nil {
		out.close()
		return nil, fmt.Errorf("could not change permissions of file %q: %w", path, err)
	}
	return &dirEntry{sink: d, name: path, out: out, solid: output.IsWAL(f.Path)}, nil
}

// setMode gives a file that was just created in the directory its mode, whatever the umask.
func (d *openDirectory) setMode(f *newFile, mode fs.FileMode) error {
	if d.mode == modeUnknown {
		now, err := f.permissions()
		if err != nil {
			return err
		}
		if d.mode = modeCut; now == mode.Perm() {
			d.mode = modeKept
		}
	}
	if d.mode == modeKept {
		return nil
	}
	return f.chmod(mode)
}

// Flush has nothing to do: files are written as they arrive.
func (d *dirSink) Flush() error { return nil }

// Meanwhile has nothing to do: no file waits for another.
func (d *dirSink) Meanwhile(func()) {}

func (d *dirSink) HasWaited() bool { return false }

// remove removes a file.
func (d *dirSink) remove(path string) error {
	dir, name, err := d.find(path)
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(dir.fd, name, 0); err != nil {
		return fmt.Errorf("could not remove file %q: %w", path, err)
	}
	return nil
}

// find opens the directory of a path, and returns the name of the file in it.
func (d *dirSink) find(path string) (*openDirectory, string, error) {
	slash := strings.LastIndexByte(path, '/')
	parent, name := path[:max(slash, 0)], path[slash+1:]
	if d.last != nil && d.last.path == parent {
		return d.last, name, nil
	}
	if dir := d.open[parent]; dir != nil {
		d.last = dir
		return dir, name, nil
	}
	// A tablespace is reached by its own path: its link leads out of the root.
	root, rest := d.tree.locate(path)
	within := "."
	if last := strings.LastIndexByte(rest, '/'); last >= 0 {
		within = rest[:last]
	}
	file, err := root.OpenFile(within, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, "", fmt.Errorf("could not open directory %q: %w", parent, output.Cause(err))
	}
	if len(d.open) >= d.tree.openDirectories {
		d.Close()
	}
	if d.open == nil {
		d.open = make(map[string]*openDirectory)
	}
	d.last = &openDirectory{path: parent, file: file, fd: int(file.Fd())}
	d.open[parent] = d.last
	return d.last, name, nil
}

// Close closes all directories, which are opened again where they are needed.
func (d *dirSink) Close() {
	for path, dir := range d.open {
		dir.file.Close()
		delete(d.open, path)
	}
	d.last = nil
}

// holeSize is how many zeros in a row make a hole of a file: nothing is written then, and
// the file system keeps nothing. Sparse core files, and relations that were extended
// far ahead, take up as much as at their origin.
const holeSize = 64 << 10

// zeros is what a hole is read as.
var zeros [holeSize]byte

// dirEntry is a file in a directory.
type dirEntry struct {
	sink  *dirSink
	name  string
	out   newFile
	solid bool  // without holes
	size  int64 // with the hole
	hole  int64 // zeros at the end that were not written
	// filled says that the size is that of Fill.
	filled bool
}

func (e *dirEntry) Add(data []byte) ([]byte, error) {
	for rest := data; len(rest) > 0; {
		n := e.leading(rest, true)
		if n > 0 {
			e.hole += int64(n)
		} else {
			n = e.leading(rest, false)
			if err := e.writeBehindHole(rest[:n]); err != nil {
				return nil, fmt.Errorf("could not write to file %q: %w", e.name, err)
			}
		}
		e.size += int64(n)
		rest = rest[n:]
	}
	return data, nil
}

// leading is how many bytes at the beginning of data make a hole or, with hole false, make
// none. A hole lies within what arrives at once.
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
		if err := e.out.skip(e.hole); err != nil {
			return err
		}
		e.hole = 0
	}
	return e.out.write(data)
}

// AddAt writes data where it belongs. Zeros leave a hole.
func (e *dirEntry) AddAt(data []byte, offset int64) error {
	for len(data) > 0 {
		n := e.leading(data, true)
		if n == 0 {
			n = e.leading(data, false)
			if err := e.out.writeAt(data[:n], offset); err != nil {
				return fmt.Errorf("could not write to file %q: %w", e.name, err)
			}
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}

// Fill has Finish cut the file off, or extend it by a hole at its end.
func (e *dirEntry) Fill(size int64) { e.size, e.filled = size, true }

func (e *dirEntry) Finish(io.Writer) error {
	if e.hole > 0 || e.filled {
		if err := e.out.truncate(e.size); err != nil {
			return fmt.Errorf("could not extend file %q: %w", e.name, err)
		}
	}
	if err := e.out.close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", e.name, err)
	}
	return nil
}

func (e *dirEntry) Discard() error {
	e.out.close() // what it says about the content is of no interest any more
	return e.sink.remove(e.name)
}

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
