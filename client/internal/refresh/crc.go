package refresh

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// shift is what a number of zeros behind a content does to the CRC of the content: a matrix over
// the field of two elements, by columns. So the CRC of a whole is had from those of its parts,
// without another look at them.
type shift [32]uint32

// shiftBy is the shift by a number of bytes.
func shiftBy(bytes int64) shift {
	var result, power shift
	power[0] = crc32.Castagnoli // by one bit
	for i := range result {
		result[i] = 1 << i
		if i > 0 {
			power[i] = 1 << (i - 1)
		}
	}
	for n := bytes * 8; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = result.then(&power)
		}
		power = power.then(&power)
	}
	return result
}

// then is the shift by m and n together.
func (m *shift) then(n *shift) (both shift) {
	for i, column := range m {
		both[i] = n.apply(column)
	}
	return both
}

func (m *shift) apply(crc uint32) (shifted uint32) {
	for i := 0; crc != 0; i, crc = i+1, crc>>1 {
		if crc&1 != 0 {
			shifted ^= m[i]
		}
	}
	return shifted
}

// blockSums are the CRC-32Cs of the blocks of a file.
type blockSums []uint32

// add adds data to the sums, which lies at an offset of the file. The data of a block comes in
// its order, from its beginning.
func (s *blockSums) add(data []byte, at int64) {
	for len(data) > 0 {
		block, within := int(at/BlockSize), at%BlockSize
		for len(*s) <= block {
			*s = append(*s, 0)
		}
		n := min(BlockSize-within, int64(len(data)))
		if within == 0 {
			(*s)[block] = 0
		}
		(*s)[block] = manifest.UpdateCRC32C((*s)[block], data[:n])
		data, at = data[n:], at+n
	}
}

// sum is the CRC-32C of the file, as manifests have it.
func (s blockSums) sum(size int64) []byte {
	whole := shiftBy(BlockSize)
	var crc uint32
	for at := int64(0); at < size; at += BlockSize {
		m := whole
		if size-at < BlockSize {
			m = shiftBy(size - at)
		}
		crc = m.apply(crc) ^ s[at/BlockSize]
	}
	return binary.LittleEndian.AppendUint32(nil, crc)
}
