//go:build !linux

package client

// newHugePage is a piece of memory as any: so large a slice begins at a boundary of pages.
func newHugePage() (page []byte, unlend func()) { return make([]byte, pieceMemory), func() {} }
