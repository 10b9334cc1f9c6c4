package output

import (
	"cmp"
	"slices"
)

// Listing is what the server has listed, each row of it checked (§5.9).
type Listing struct {
	Directories []string // in an order in which they can be created
	Times       []int64  // when each of them was changed last, in Unix seconds
	Links       []uint32 // the tablespaces to link, by OID
	Files       Files    // global/pg_control excepted
	ByPath      []int32  // the order of files by path
	Control     File     // global/pg_control
	Bytes       int64    // of all files, as listed
}

// Find is the index of a file in files.
func (l *Listing) Find(path string) (i int32, found bool) {
	k, found := slices.BinarySearchFunc(l.ByPath, path, func(i int32, path string) int {
		return cmp.Compare(l.Files.At(i).Path, path)
	})
	if !found {
		return 0, false
	}
	return l.ByPath[k], true
}

// Has reports whether a file was listed, and was still there when the server was asked
// for it.
func (l *Listing) Has(path string) bool {
	i, found := l.Find(path)
	return found && !l.Files.At(i).Gone
}

// Sum is how much there is of something.
type Sum struct {
	Files int64
	Bytes int64
}

// Sums is how much lies in each tablespace, by its OID. What lies below pg_tblspc/OID is the
// tablespace's, all else the data directory's, whose OID is 0.
func (l *Listing) Sums() map[uint32]Sum {
	sums := map[uint32]Sum{0: {1, l.Control.Size}}
	for i := range int32(l.Files.Len()) {
		f := l.Files.At(i)
		oid, _, _ := SplitTablespacePath(f.Path)
		sum := sums[oid]
		sum.Files++
		sum.Bytes += f.Size
		sums[oid] = sum
	}
	return sums
}
