package client

import (
	"cmp"
	"slices"

	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// file is a file to copy, and what is known of it afterwards. There may be
// millions: every byte counts.
type file struct {
	path     string
	checksum string // raw, of what was received; empty where none is wanted
	size     int64  // as listed; then as received
	modTime  int64  // Unix seconds
	lost     uint8  // connections that were lost while they sent it
	waits    uint8  // those of them that had to wait for us, of which as many are forgiven
	takes    uint8  // times that it arrived and had changed meanwhile
	gone     bool   // the server does not have it any more
}

// files is a list of files that stay where they are in memory: one that is moved
// whenever it grows needs three times the room.
type files struct{ blocks [][]file }

const filesPerBlock = 4096

func (l *files) add(f file) {
	last := len(l.blocks) - 1
	if last < 0 || len(l.blocks[last]) == filesPerBlock {
		l.blocks = append(l.blocks, nil)
		last++
	}
	l.blocks[last] = append(l.blocks[last], f)
}

func (l *files) at(i int32) *file { return &l.blocks[i/filesPerBlock][i%filesPerBlock] }

func (l *files) len() int {
	if len(l.blocks) == 0 {
		return 0
	}
	return (len(l.blocks)-1)*filesPerBlock + len(l.blocks[len(l.blocks)-1])
}

// sorted is the order of the list by compare, and by path where that makes no
// difference.
func (l *files) sorted(compare func(a, b *file) int) []int32 {
	order := make([]int32, l.len())
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := l.at(i), l.at(j)
		return cmp.Or(compare(a, b), cmp.Compare(a.path, b.path))
	})
	return order
}

func byPath(_, _ *file) int { return 0 }

// largestFirst is how files are best sent: the large ones must not be what the last
// worker is left with.
func largestFirst(a, b *file) int { return cmp.Compare(b.size, a.size) }

// summed is a file that the client itself writes.
func summed(path string, content []byte, modTime int64, algorithm manifest.ChecksumAlgorithm) file {
	f := file{path: path, size: int64(len(content)), modTime: modTime}
	if sum := algorithm.New(); sum != nil {
		sum.Write(content)
		f.checksum = string(sum.Sum(nil))
	}
	return f
}
