//go:build !purego

package page

import "golang.org/x/sys/cpu"

// foldPage is the XOR of the sums of a page's columns.
func foldPage(page *[Size]byte) uint32 {
	if cpu.X86.HasAVX2 {
		return foldAVX2(page)
	}
	return foldPortable(page)
}

// foldAVX2 is foldPortable with all 32 columns at once in four registers.
//
//go:noescape
func foldAVX2(page *[Size]byte) uint32
