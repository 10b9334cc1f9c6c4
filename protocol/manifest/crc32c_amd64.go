//go:build !purego

package manifest

import "golang.org/x/sys/cpu"

// A block is what crc32cBlocks sums up at a time: four lanes of 16 bytes a step for carry-less
// multiplication, and behind them three parts of 16 bytes a step for CRC32 instructions. Those
// are eight multiplications and six such instructions, for processors that begin one of either
// kind in each cycle. More steps would spare little of what it takes to put the parts together,
// and leave longer rests to hash/crc32.
const (
	crc32cSteps = 73
	crc32cBlock = crc32cSteps * (64 + 3*16) // 8176
)

// The constants of crc32c_amd64.s are remainders of powers of x by the polynomial, in the order
// of bits of CRC-32C (TestUpdateCRC32C_Constants).

var hasCRC32CBlocks = cpu.X86.HasSSE42 && cpu.X86.HasPCLMULQDQ && cpu.X86.HasAVX

// updateCRC32CBlocks sums up as many whole blocks as p begins with, and returns what is left of it.
func updateCRC32CBlocks(sum uint32, p []byte) (uint32, []byte) {
	n := len(p) / crc32cBlock
	if n == 0 || !hasCRC32CBlocks {
		return sum, p
	}
	return ^crc32cBlocks(^sum, &p[0], n), p[n*crc32cBlock:]
}

// crc32cBlocks sums up n blocks, at least one. Its sums are those before the last inversion.
//
//go:noescape
func crc32cBlocks(sum uint32, p *byte, n int) uint32
