package client

import (
	"cmp"
	"slices"
)

// listing is what the server has listed, each row of it checked (§5.9).
type listing struct {
	directories []string // in an order in which they can be created
	times       []int64  // when each of them was changed last, in Unix seconds
	links       []uint32 // the tablespaces to link, by OID
	files       files    // global/pg_control excepted
	byPath      []int32  // the order of files by path
	control     file     // global/pg_control
	bytes       int64    // of all files, as listed
}

// find is the index of a file in files.
func (l *listing) find(path string) (i int32, found bool) {
	k, found := slices.BinarySearchFunc(l.byPath, path, func(i int32, path string) int {
		return cmp.Compare(l.files.at(i).path, path)
	})
	if !found {
		return 0, false
	}
	return l.byPath[k], true
}

// has reports whether a file was listed, and was still there when the server was asked
// for it.
func (l *listing) has(path string) bool {
	i, found := l.find(path)
	return found && !l.files.at(i).gone
}
