//go:build !amd64 || purego

package page

// foldPage is the XOR of the sums of a page's columns.
func foldPage(page *[Size]byte) uint32 { return foldPortable(page) }
