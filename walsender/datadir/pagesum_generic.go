//go:build !amd64 || purego

package datadir

// foldPage is the XOR of the sums of a page's columns.
func foldPage(page *[pageSize]byte) uint32 { return foldPortable(page) }
