package page

import (
	"encoding/binary"

	"github.com/pgparallel/pgparallel/protocol"
)

// Size is the block size (BLCKSZ) that pages are verified with. Clusters
// built with another are not verified (§4.6).
const Size = 8192

// Readable reports whether pages of a cluster of this machine are as this package reads
// them: those of a little-endian one.
func Readable() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// Offsets in the page header (PostgreSQL's bufpage.h).
const (
	pdLSN      = 0 // two words, the high one first
	pdChecksum = 8
	pdUpper    = 14
)

// Checksum computes the checksum that PostgreSQL stores in the header of a
// page (pd_checksum; storage/checksum_impl.h). What the page has there now is taken
// as 0. page is 8192 bytes, as a little-endian machine writes them; a shorter one
// panics. block is the page's number in the relation, which goes on from one
// segment file to the next (131072 pages each). The result is never 0. The page is
// only read, by any number of goroutines at once.
func Checksum(page []byte, block uint32) uint16 {
	return finishChecksum(foldPage((*[Size]byte)(page)), block)
}

func finishChecksum(fold, block uint32) uint16 { return uint16((fold^block)%65535 + 1) }

// Verify reports whether the page is whole: new (never initialized), which is all
// zeros, or with the checksum that is stored in it (PageIsVerified in
// storage/page/bufpage.c). A page with a part of it zeroed is not a new one. page and
// block are those of [Checksum]; both checksums are 0 for a new page.
func Verify(page []byte, block uint32) (ok bool, calculated, stored uint16) {
	unused := binary.LittleEndian.Uint16(page[pdUpper:]) == 0
	if unused && *(*[Size]byte)(page) == [Size]byte{} {
		return true, 0, 0
	}
	stored = binary.LittleEndian.Uint16(page[pdChecksum:])
	calculated = Checksum(page, block)
	return calculated == stored && !unused, calculated, stored
}

// LSN is the position behind the last WAL record that changed the page.
func LSN(page []byte) protocol.LSN {
	high := binary.LittleEndian.Uint32(page[pdLSN:])
	low := binary.LittleEndian.Uint32(page[pdLSN+4:])
	return protocol.LSN(high)<<32 | protocol.LSN(low)
}

// A page is a table of 64 rows of 32 words. Each column is hashed on its own, so
// that vector units can hash many at once, and the sums are folded with XOR.
const (
	sumColumns = 32
	sumPrime   = 16777619 // of FNV-1a
)

// sumOffsets is what the sums of the columns begin with. It is never written to.
var sumOffsets = [sumColumns]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// foldPortable hashes a page four columns at a time: as many as keep a scalar
// processor busy and still fit its registers.
func foldPortable(page *[Size]byte) (fold uint32) {
	// The stored checksum is the low half of the third word of all.
	stored := uint32(0xFFFF)
	for column := 0; column < sumColumns; column += 4 {
		offsets := sumOffsets[column : column+4 : column+4]
		a, b, c, d := offsets[0], offsets[1], offsets[2], offsets[3]
		for i := 4 * column; i < Size; i += 4 * sumColumns {
			words := page[i : i+16 : i+16]
			a = stir(a ^ binary.LittleEndian.Uint32(words[0:]))
			b = stir(b ^ binary.LittleEndian.Uint32(words[4:]))
			c = stir(c ^ binary.LittleEndian.Uint32(words[8:])&^stored)
			d = stir(d ^ binary.LittleEndian.Uint32(words[12:]))
			stored = 0
		}
		// Two rounds of zeros let the last words reach every bit.
		fold ^= stir(stir(a)) ^ stir(stir(b)) ^ stir(stir(c)) ^ stir(stir(d))
	}
	return fold
}

func stir(sum uint32) uint32 { return sum*sumPrime ^ sum>>17 }
