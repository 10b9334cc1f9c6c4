// Package tarheader makes the headers of the tar archives of PostgreSQL's base backups
// (src/port/tar.c): POSIX ustar without prefixes, and sizes of 8 GiB and more in base 256.
package tarheader

import (
	"fmt"
	"time"
)

// BlockSize is the size of a header, and what the content of a member is padded to.
const BlockSize = 512

// TrailerSize is the size of the zeros at the end of an archive.
const TrailerSize = 2 * BlockSize

// MaxName is how many bytes the name of a member may have, and the target of a link.
const MaxName = 99

// owner is whose the members are, wherever there is such a user.
const owner = "postgres"

// magic ends with the version.
const magic = "ustar\x0000"

// Kind is the kind of a member: one of those below, or another of POSIX or GNU.
type Kind byte

// The kinds of members.
const (
	Regular   Kind = '0'
	Symlink   Kind = '2' // to a directory
	Directory Kind = '5'
)

// Header describes a member.
type Header struct {
	Name     string // of a directory and a link, too, without a slash at its end
	Kind     Kind
	Size     int64  // of the content in bytes, which only a regular file has
	Mode     uint32 // permission bits, 07777
	UID, GID uint32
	ModTime  time.Time // in whole seconds; before 1970 it becomes 1970
	Link     string    // what a link leads to
}

// Append appends the block of the header to b. A name or a link of more than [MaxName]
// bytes is an error, and b is returned as it was.
func (h Header) Append(b []byte) ([]byte, error) {
	if len(h.Name) > MaxName {
		return b, fmt.Errorf("file name too long for tar format: %q", h.Name)
	}
	if len(h.Link) > MaxName {
		return b, fmt.Errorf("symbolic link target too long for tar format: file name %q, target %q", h.Name, h.Link)
	}
	start := len(b)
	b = append(b, make([]byte, BlockSize)...)
	block := b[start:]
	name := h.Name
	if h.Kind == Symlink || h.Kind == Directory {
		name += "/"
	}
	copy(block[0:100], name)
	putNumber(block[100:108], int64(h.Mode&0o7777))
	putNumber(block[108:116], int64(h.UID))
	putNumber(block[116:124], int64(h.GID))
	putNumber(block[124:136], h.Size)
	putNumber(block[136:148], max(h.ModTime.Unix(), 0))
	block[156] = byte(h.Kind)
	copy(block[157:257], h.Link)
	copy(block[257:265], magic)
	copy(block[265:297], owner)
	copy(block[297:329], owner)
	putNumber(block[329:337], 0)
	putNumber(block[337:345], 0)
	putNumber(block[148:156], checksum(block))
	return b, nil
}

// Padding is how many zeros follow content of that size.
func Padding(size int64) int64 { return -size & (BlockSize - 1) }

// putNumber writes a number in octal with a space behind it, or in base 256 where it has
// too many digits.
func putNumber(field []byte, n int64) {
	last := len(field) - 1
	if n < 1<<(3*last) {
		field[last] = ' '
		for i := last - 1; i >= 0; i-- {
			field[i] = '0' + byte(n&7)
			n >>= 3
		}
		return
	}
	for i := last; i > 0; i-- {
		field[i] = byte(n)
		n >>= 8
	}
	field[0] = 0x80
}

// checksum is the sum of all bytes, those of the checksum taken for spaces.
func checksum(block []byte) int64 {
	sum := int64(8 * ' ')
	for i, b := range block {
		if i < 148 || i >= 156 {
			sum += int64(b)
		}
	}
	return sum
}
