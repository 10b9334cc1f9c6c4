package manifest

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/pgparallel/pgparallel/protocol"
)

// ChecksumAlgorithm is how the files of a backup are summed up in its manifest.
// The zero value is PostgreSQL's default, CRC-32C.
type ChecksumAlgorithm int

// The algorithms of PostgreSQL's common/checksum_helper.h.
const (
	ChecksumCRC32C ChecksumAlgorithm = iota
	ChecksumNone
	ChecksumSHA224
	ChecksumSHA256
	ChecksumSHA384
	ChecksumSHA512

	// ChecksumXXH128 is XXH3 with 128 bits, by which files are compared (§8.3). No manifest
	// has it. Two contents that nobody contrives have the same as seldom as any other 128
	// bits, and it costs a tenth of SHA-256.
	ChecksumXXH128
)

// ParseChecksumAlgorithm reads the name of an algorithm, in any case: NONE,
// CRC32C, SHA224, SHA256, SHA384 or SHA512.
func ParseChecksumAlgorithm(s string) (ChecksumAlgorithm, error) {
	for a := ChecksumCRC32C; a <= ChecksumSHA512; a++ {
		if strings.EqualFold(s, a.String()) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unrecognized checksum algorithm: %q", protocol.Shorten(s, 64))
}

// ParseDigestAlgorithm is [ParseChecksumAlgorithm] for comparisons of files: it knows XXH128
// besides.
func ParseDigestAlgorithm(s string) (ChecksumAlgorithm, error) {
	if strings.EqualFold(s, ChecksumXXH128.String()) {
		return ChecksumXXH128, nil
	}
	return ParseChecksumAlgorithm(s)
}

// String is the name as the manifest spells it, in capitals.
func (a ChecksumAlgorithm) String() string {
	switch a {
	case ChecksumCRC32C:
		return "CRC32C"
	case ChecksumNone:
		return "NONE"
	case ChecksumSHA224:
		return "SHA224"
	case ChecksumSHA256:
		return "SHA256"
	case ChecksumSHA384:
		return "SHA384"
	case ChecksumSHA512:
		return "SHA512"
	case ChecksumXXH128:
		return "XXH128"
	}
	return fmt.Sprintf("ChecksumAlgorithm(%d)", int(a))
}

// UnmarshalText is [ParseChecksumAlgorithm], for libraries that read flags and
// configuration.
func (a *ChecksumAlgorithm) UnmarshalText(text []byte) error {
	parsed, err := ParseChecksumAlgorithm(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}

// New begins a checksum whose Sum is what stands in the manifest. It is nil for
// [ChecksumNone] and for what is no algorithm.
func (a ChecksumAlgorithm) New() hash.Hash {
	switch a {
	case ChecksumCRC32C:
		return new(crc32c)
	case ChecksumSHA224:
		return sha256.New224()
	case ChecksumSHA256:
		return sha256.New()
	case ChecksumSHA384:
		return sha512.New384()
	case ChecksumSHA512:
		return sha512.New()
	case ChecksumXXH128:
		return xxh3.New128()
	}
	return nil
}

// Size is the length of a checksum in bytes; 0 where there is none.
func (a ChecksumAlgorithm) Size() int {
	switch a {
	case ChecksumCRC32C:
		return crc32.Size
	case ChecksumSHA224:
		return sha256.Size224
	case ChecksumSHA256:
		return sha256.Size
	case ChecksumSHA384:
		return sha512.Size384
	case ChecksumSHA512:
		return sha512.Size
	case ChecksumXXH128:
		return 16
	}
	return 0
}
