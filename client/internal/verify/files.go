package verify

import (
	"bytes"
	"cmp"
	"hash"
	"path"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// ignored reports whether a path is none of the verification's business.
func (v *verification) ignored(p string) bool {
	for _, parent := range []string{output.ManifestFile, output.WALFolder, output.AutoConfFile, "recovery.signal", output.StandbySignalFile} {
		if datatree.Within(p, parent) {
			return true
		}
	}
	return slices.ContainsFunc(v.Ignore, func(parent string) bool { return datatree.Within(p, path.Clean(parent)) })
}

// files are those of the manifest that are not ignored, and what was found of them.
type files struct {
	listed []manifest.File // the largest first
	byPath map[string]int
	count  int64
	bytes  atomic.Int64 // that were read for checksums

	mu   sync.Mutex
	seen []bool            // by index
	kept map[string][]byte // the contents of some small files that are as the manifest says
}

func newFiles(all []manifest.File, ignored func(string) bool) *files {
	listed := slices.DeleteFunc(all, func(f manifest.File) bool { return ignored(f.Path) })
	slices.SortStableFunc(listed, func(a, b manifest.File) int { return cmp.Compare(b.Size, a.Size) })
	fs := &files{
		listed: listed, byPath: make(map[string]int, len(listed)), count: int64(len(listed)),
		seen: make([]bool, len(listed)), kept: map[string][]byte{},
	}
	for i, f := range listed {
		fs.byPath[f.Path] = i
	}
	return fs
}

// toSum is how many bytes have a checksum.
func (fs *files) toSum(skip bool) (n int64) {
	for _, f := range fs.listed {
		if !skip && f.Algorithm != manifest.ChecksumNone {
			n += f.Size
		}
	}
	return n
}

// missing are the files of the manifest that were not found.
func (fs *files) missing() (paths []string) {
	for i, f := range fs.listed {
		if !fs.seen[i] {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

// isKept reports whether the content of a file is of interest by itself.
func isKept(f manifest.File) bool {
	return (f.Path == output.ControlFile || f.Path == output.LabelFile || f.Path == "PG_VERSION") && f.Size <= 64<<10
}

// content is the content of a file on its way. One goroutine uses it.
type content struct {
	v       *verification
	listed  manifest.File
	archive string        // empty: in a directory
	sum     hash.Hash     // nil: none is compared
	keep    *bytes.Buffer // nil: the content is of no interest
	read    int64
}

// isExtra reports whether the manifest should have a file and has it not.
func (v *verification) isExtra(p string) bool {
	_, listed := v.files.byPath[p]
	return !listed && !v.ignored(p)
}

// found takes a file that is in the backup, and not extra: in an archive, or on disk where
// that is empty. What it returns wants the content; it is nil where there is no use for that.
func (v *verification) found(p string, size int64, archive string) *content {
	if v.ignored(p) {
		return nil
	}
	i := v.files.byPath[p]
	f := v.files.listed[i]
	v.files.mu.Lock()
	again := v.files.seen[i]
	v.files.seen[i] = true
	v.files.mu.Unlock()
	switch {
	case again:
		v.problemf(Extra, p, "file %q is present in archive %q, and a second time", p, archive)
	case size == f.Size:
		return v.wanted(f, archive)
	case archive == "":
		v.problemf(Size, p, "%q has size %d on disk but size %d in the manifest", p, size, f.Size)
	default:
		v.problemf(Size, p, "file %q has size %d in archive %q but size %d in the manifest", p, size, archive, f.Size)
	}
	return nil
}

// wanted is what takes the content of a file, nil where nobody needs it.
func (v *verification) wanted(f manifest.File, archive string) *content {
	c := &content{v: v, listed: f, archive: archive}
	if !v.SkipChecksums {
		c.sum = f.Algorithm.New()
	}
	if isKept(f) {
		c.keep = &bytes.Buffer{}
	}
	if c.sum == nil && c.keep == nil {
		v.Done(1, 0)
		return nil
	}
	return c
}

// Write takes bytes of the file.
func (c *content) Write(p []byte) (int, error) {
	c.read += int64(len(p))
	if c.sum != nil {
		c.sum.Write(p)
		c.v.files.bytes.Add(int64(len(p)))
		c.v.Done(0, int64(len(p)))
	}
	if c.keep != nil && c.read <= c.listed.Size {
		c.keep.Write(p)
	}
	return len(p), nil
}

// finish compares the file, which has come to its end.
func (c *content) finish() {
	f, where := c.listed, ""
	if c.archive != "" {
		where = " in archive " + strconv.Quote(c.archive)
	}
	switch {
	case c.read != f.Size:
		c.v.problemf(Size, f.Path, "file %q%s should contain %d bytes, but read %d bytes", f.Path, where, f.Size, c.read)
	case c.sum != nil && string(c.sum.Sum(nil)) != string(f.Checksum):
		c.v.problemf(Checksum, f.Path, "checksum mismatch for file %q%s", f.Path, where)
	case c.keep != nil:
		c.v.files.mu.Lock()
		c.v.files.kept[f.Path] = c.keep.Bytes()
		c.v.files.mu.Unlock()
	}
	c.v.Done(1, 0)
}
