package manifest

import (
	"encoding/binary"
	"hash"
	"hash/crc32"

	"github.com/pgparallel/pgparallel/protocol/internal/crc"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// UpdateCRC32C is the CRC-32C of a content to which p is added, where sum is that of what comes
// before: 0 for nothing. p is only read, by any number of goroutines at once.
//
// The result is that of hash/crc32, which uses the processor's CRC32 instruction, and which has
// the short pieces here, too. Long ones are summed up by carry-less multiplication and that
// instruction side by side, on x86-64: many processors do the two at the same time. A Zen 1 does
// them one after the other, but needs three cycles for a CRC32 instruction: of 128 KiB that lie
// in a cache it sums up 6.0 GB/s by hash/crc32, and 9.5 GB/s so (BenchmarkUpdateCRC32C), which
// is what carry-less multiplication alone comes to. With the build tag purego, and on other
// processors, it is all hash/crc32.
func UpdateCRC32C(sum uint32, p []byte) uint32 {
	sum, p = updateCRC32CBlocks(sum, p)
	return crc32.Update(sum, castagnoli, p)
}

// JoinCRC32C is the CRC-32C of two contents in a row, of which the second has size bytes.
func JoinCRC32C(first, second uint32, size int64) uint32 {
	return crc.Shift(first, size) ^ second
}

// Joiner is a checksum to which a part of the content can be added that was summed up apart, as
// by another goroutine. That of [ChecksumCRC32C] is one.
type Joiner interface {
	hash.Hash
	// Join adds a content of size bytes, of which sum is the checksum by the same algorithm.
	Join(sum []byte, size int64)
}

// crc32c is CRC-32C in the byte order of PostgreSQL's manifests. PostgreSQL
// stores the number as it lies in memory, which it is little-endian wherever
// anybody has looked.
type crc32c uint32

func (s *crc32c) Write(p []byte) (int, error) {
	*s = crc32c(UpdateCRC32C(uint32(*s), p))
	return len(p), nil
}

func (s *crc32c) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, uint32(*s)) }

// Join is that of a [Joiner].
func (s *crc32c) Join(sum []byte, size int64) {
	*s = crc32c(JoinCRC32C(uint32(*s), binary.LittleEndian.Uint32(sum), size))
}

func (s *crc32c) Reset() { *s = 0 }

func (s *crc32c) Size() int { return crc32.Size }

func (s *crc32c) BlockSize() int { return 1 }
