package tarball

import (
	"fmt"
	"io"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
)

const probeFile = "pgparallel.probe"

// probe finds out, before anything is copied, what the file system of the archives can
// do: whether a file can be written anywhere or from its beginning to its end only. It
// is an error where files cannot be renamed, for then no backup can be finished (§5.6).
func probe(t *datatree.Tree) (anywhere bool, err error) {
	f, err := t.Create(probeFile)
	if err != nil {
		return false, err
	}
	anywhere = writesAnywhere(f)
	if err := f.Close(); err != nil {
		return false, fmt.Errorf("could not close file %q: %w", probeFile, output.Cause(err))
	}
	if err := t.Rename(probeFile, probeFile+output.IncompleteSuffix, false); err != nil {
		return false, fmt.Errorf("the file system of directory %q is of no use for a backup: %w", t.Dir, err)
	}
	return anywhere, t.Remove(probeFile + output.IncompleteSuffix)
}

// writesAnywhere reports whether an empty file can be written at any place, and cut
// off. Object stores that look like file systems often allow neither.
func writesAnywhere(f interface {
	io.WriterAt
	Truncate(size int64) error
}) bool {
	for _, offset := range []int64{tarBlock, 0} {
		if _, err := f.WriteAt([]byte{0}, offset); err != nil {
			return false
		}
	}
	return f.Truncate(0) == nil
}
