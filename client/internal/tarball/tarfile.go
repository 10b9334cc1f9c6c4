package tarball

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// tarFile is an archive on disk that is not compressed. Several goroutines write it at once,
// each into the extent of its own member.
type tarFile struct {
	file *os.File
	mu   sync.Mutex
	end  int64             // of all extents
	free map[int64][]int64 // extents that were given back: offsets by size
}

func newTarFile(file *os.File) *tarFile {
	return &tarFile{file: file, free: map[int64][]int64{}}
}

// open gives a member an extent. A file that is sent again, over another connection, gets the
// extent that it had.
func (a *tarFile) open(_ *batches, size int64) (member, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if offsets := a.free[size]; len(offsets) > 0 {
		last := len(offsets) - 1
		a.free[size] = offsets[:last]
		return &extent{archive: a, size: size, next: offsets[last]}, nil
	}
	offset := a.end
	a.end += size
	return &extent{archive: a, size: size, next: offset}, nil
}

// extent is the part of the archive that holds a member. One goroutine uses it.
type extent struct {
	archive *tarFile
	size    int64
	next    int64 // where the next bytes go
	written int64
}

func (e *extent) Write(p []byte) (int, error) {
	n, err := e.archive.file.WriteAt(p, e.next)
	e.next += int64(n)
	e.written += int64(n)
	return n, err
}

func (e *extent) commit() error { return nil }

func (e *extent) discard() error {
	a := e.archive
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free[e.size] = append(a.free[e.size], e.next-e.written)
	return nil
}

// finish ends the archive, when no member is open any more.
func (a *tarFile) finish(*batches) error {
	if err := a.closeGaps(); err != nil {
		return err
	}
	if _, err := a.file.WriteAt(make([]byte, tarTrailer), a.end); err != nil {
		return err
	}
	// A gap at the end may have been longer than the trailer.
	if err := a.file.Truncate(a.end + tarTrailer); err != nil {
		return err
	}
	return a.file.Close()
}

func (a *tarFile) close() { a.file.Close() }

// gap is a part of the archive that no member uses. It belonged to a file whose connection was
// lost, and which had vanished when the client asked for it again.
type gap struct{ offset, size int64 }

// closeGaps moves what lies behind a gap into it.
func (a *tarFile) closeGaps() error {
	var gaps []gap
	for size, offsets := range a.free {
		for _, offset := range offsets {
			gaps = append(gaps, gap{offset, size})
		}
	}
	if len(gaps) == 0 {
		return nil
	}
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(a.offset, b.offset) })
	in, err := os.Open(a.file.Name())
	if err != nil {
		return err
	}
	defer in.Close()
	to := gaps[0].offset
	for i, g := range gaps {
		from, until := g.offset+g.size, a.end
		if i+1 < len(gaps) {
			until = gaps[i+1].offset
		}
		n, err := io.Copy(io.NewOffsetWriter(a.file, to), io.NewSectionReader(in, from, until-from))
		if err != nil {
			return fmt.Errorf("could not close a gap: %w", err)
		}
		to += n
	}
	a.end, a.free = to, nil
	return nil
}
