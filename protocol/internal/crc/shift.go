// Package crc joins CRC-32C sums of contents that were summed up apart. It does no input or
// output; any number of goroutines may call it.
package crc

import "hash/crc32"

// A sum is a polynomial over GF(2), modulo Castagnoli's. The highest bit is the coefficient
// of x^0. A byte behind a content multiplies the content's sum by x^8.
const (
	one    = 1 << 31 // x^0
	x8     = 1 << 23 // x^8, a byte
	modulo = crc32.Castagnoli
)

// Shift is what n more bytes make of a sum, before their own is added to it: the sum of two
// contents in a row is Shift(first, size of the second) ^ second.
func Shift(sum uint32, n int64) uint32 {
	for power := uint32(x8); n > 0; n >>= 1 {
		if n&1 != 0 {
			sum = multiply(sum, power)
		}
		power = multiply(power, power)
	}
	return sum
}

// multiply is the product of two polynomials.
func multiply(a, b uint32) uint32 {
	var product uint32
	for bit := uint32(one); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		b = b>>1 ^ modulo*(b&1)
	}
	return product
}
