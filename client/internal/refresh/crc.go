package refresh

import (
	"encoding/binary"

	"github.com/pgparallel/pgparallel/protocol/manifest"
)

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
	var crc uint32
	for at := int64(0); at < size; at += BlockSize {
		crc = manifest.JoinCRC32C(crc, s[at/BlockSize], min(BlockSize, size-at))
	}
	return binary.LittleEndian.AppendUint32(nil, crc)
}
