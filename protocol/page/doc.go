// Package page knows the pages that relations are made of, so far as a backup looks at
// them: the checksum of a page, its position in the write-ahead log, and whether it is
// whole (PostgreSQL's storage/page/bufpage.c and storage/checksum_impl.h).
//
// A page is [Size] bytes, as a little-endian machine writes them. The checksum is
// computed with AVX2 where the processor has it, and otherwise, or with the build tag
// purego, in portable Go.
//
// The functions only read a page, allocate nothing, and may be called from any number of
// goroutines at once.
package page
