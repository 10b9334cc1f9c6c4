package tarball

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

// An archive is one gzip member (RFC 1952), though several goroutines compress parts of
// it: each part is deflate blocks that end at a byte, by a sync flush, and refer to
// nothing outside of the part. The sum in the trailer is combined from those of the
// parts. Members in a row would be valid too, but not every program that reads backups
// takes them.

// gzipHeader begins the member: deflate, no name, no time, an unknown system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// deflateEnd is a last, empty block.
var deflateEnd = []byte{0x03, 0x00}

// deflater is the compressor of a part.
type deflater struct {
	*flate.Writer
	sum gzipSum
}

// Reset begins a part.
func (d *deflater) Reset(w io.Writer) {
	d.Writer.Reset(w)
	d.sum = gzipSum{}
}

func (d *deflater) Write(p []byte) (int, error) {
	n, err := d.Writer.Write(p)
	d.sum.crc = crc32.Update(d.sum.crc, crc32.IEEETable, p[:n])
	d.sum.size += int64(n)
	return n, err
}

// Close ends the part.
func (d *deflater) Close() error { return d.Flush() }

// gzipSum is what the trailer says about content.
type gzipSum struct {
	crc  uint32
	size int64
}

// add continues the sum with other content.
func (s *gzipSum) add(behind gzipSum) {
	s.crc = mulCRC(s.crc, shiftCRC(behind.size)) ^ behind.crc
	s.size += behind.size
}

// trailer is what ends the member.
func (s gzipSum) trailer() []byte {
	trailer := binary.LittleEndian.AppendUint32(deflateEnd[:len(deflateEnd):len(deflateEnd)], s.crc)
	return binary.LittleEndian.AppendUint32(trailer, uint32(s.size))
}

// A CRC is a polynomial over GF(2), modulo the one that the CRC is named after. Its
// highest bit is the coefficient of x^0.
const (
	crcOne     = 1 << 31
	crcOneByte = 1 << (31 - 8) // x^8
)

// mulCRC multiplies two polynomials.
func mulCRC(a, b uint32) uint32 {
	var product uint32
	for bit := uint32(crcOne); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= crc32.IEEE
		}
	}
	return product
}

// shiftCRC is what a CRC is to be multiplied with when that many bytes come behind.
func shiftCRC(bytes int64) uint32 {
	power, square := uint32(crcOne), uint32(crcOneByte)
	for ; bytes > 0; bytes >>= 1 {
		if bytes&1 != 0 {
			power = mulCRC(power, square)
		}
		square = mulCRC(square, square)
	}
	return power
}
