package client

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePageSize is the size of a huge page, in bytes: where it is another, the memory is as any.
const hugePageSize = 2 << 20

// newHugePage is a huge page of memory, as far as the system has one to give, and what gives it
// back.
func newHugePage() (page []byte, unlend func()) {
	// Of twice as much, the part is taken that begins where a huge page does; memory that
	// nobody touches is none.
	mapping, err := unix.Mmap(-1, 0, 2*hugePageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return make([]byte, pieceMemory), func() {}
	}
	past := int(uintptr(unsafe.Pointer(unsafe.SliceData(mapping))) % hugePageSize)
	page = mapping[hugePageSize-past:][:hugePageSize]
	_ = unix.Madvise(page, unix.MADV_HUGEPAGE)       // else it consists of small ones
	return page, func() { _ = unix.Munmap(mapping) } // it was mapped
}
