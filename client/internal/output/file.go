package output

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// File is a file to copy, and what is known of it afterwards. A backup may have millions
// of them, so every byte of a File counts.
type File struct {
	Path     string
	Checksum string // raw, of what was received; empty where none is wanted
	Size     int64  // as listed; then as received
	ModTime  int64  // Unix seconds
	Lost     uint8  // how many connections were lost while they sent it
	Waits    uint8  // how many of these the client had kept waiting
	Takes    uint8  // how often it arrived and had changed meanwhile
	Gone     bool   // the server does not have it any more
	Kept     bool   // it is of an earlier backup, all of it or parts, and equals the server's
	ByCopy   bool   // a descriptor of it was of no use: the server is to send it
}

// Files is a list of files that stay where they are in memory: a slice, which is copied
// when it grows, would need three times the room. The zero value is an empty list.
type Files struct{ blocks [][]File }

const filesPerBlock = 4096

// Add puts a file at the end of the list.
func (l *Files) Add(f File) {
	last := len(l.blocks) - 1
	if last < 0 || len(l.blocks[last]) == filesPerBlock {
		l.blocks = append(l.blocks, nil)
		last++
	}
	l.blocks[last] = append(l.blocks[last], f)
}

// At is the file with an index below Len.
func (l *Files) At(i int32) *File { return &l.blocks[i/filesPerBlock][i%filesPerBlock] }

// Len is the number of the files.
func (l *Files) Len() int {
	if len(l.blocks) == 0 {
		return 0
	}
	return (len(l.blocks)-1)*filesPerBlock + len(l.blocks[len(l.blocks)-1])
}

// Sorted is the indexes of all files in the order of compare; files that compare as equal
// are in the order of their paths.
func (l *Files) Sorted(compare func(a, b *File) int) []int32 {
	order := make([]int32, l.Len())
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		a, b := l.At(i), l.At(j)
		if order := compare(a, b); order != 0 {
			return order
		}
		return strings.Compare(a.Path, b.Path)
	})
	return order
}

// ByPath compares all files as equal, for [Files.Sorted].
func ByPath(_, _ *File) int { return 0 }

// LargestFirst compares files by size, for [Files.Sorted]. Files are copied in this order,
// lest the last worker is left with a large one.
func LargestFirst(a, b *File) int { return cmp.Compare(b.Size, a.Size) }

// OwnFile is a file that the client itself writes, with its checksum.
func OwnFile(path string, content []byte, modTime int64, algorithm manifest.ChecksumAlgorithm) File {
	f := File{Path: path, Size: int64(len(content)), ModTime: modTime}
	if sum := algorithm.New(); sum != nil {
		sum.Write(content)
		f.Checksum = string(sum.Sum(nil))
	}
	return f
}
