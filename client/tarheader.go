package client

import (
	"fmt"
	"io/fs"
	"os"
)

// The archives are those of PostgreSQL's own base backups (src/port/tar.c): POSIX
// ustar without prefixes, and sizes of 8 GiB and more in base 256.
const (
	tarBlock   = 512
	tarTrailer = 2 * tarBlock  // zeros at the end of an archive
	tarNameMax = 99            // bytes of a name, or of what a link leads to
	tarOwner   = "postgres"    // whose the files are, wherever there is such a user
	tarMagic   = "ustar\x0000" // with the version
)

// The kinds of members.
const (
	tarRegular   = '0'
	tarSymlink   = '2'
	tarDirectory = '5'
)

// tarHeader describes a member.
type tarHeader struct {
	name    string // of a directory, too, without a slash at its end
	kind    byte
	size    int64 // of the content, which only a regular file has
	mode    fs.FileMode
	modTime int64  // Unix seconds
	link    string // what a link leads to
}

// encode is the block of the header.
func (h tarHeader) encode() ([]byte, error) {
	if err := checkTarName(h.name); err != nil {
		return nil, err
	}
	if len(h.link) > tarNameMax {
		return nil, fmt.Errorf("symbolic link target too long for tar format: file name %q, target %q", h.name, h.link)
	}
	block := make([]byte, tarBlock)
	name := h.name
	if h.kind != tarRegular {
		name += "/"
	}
	copy(block[0:100], name)
	putTarNumber(block[100:108], int64(h.mode.Perm()))
	putTarNumber(block[108:116], int64(max(os.Geteuid(), 0)))
	putTarNumber(block[116:124], int64(max(os.Getegid(), 0)))
	putTarNumber(block[124:136], h.size)
	putTarNumber(block[136:148], max(h.modTime, 0))
	block[156] = h.kind
	copy(block[157:257], h.link)
	copy(block[257:265], tarMagic)
	copy(block[265:297], tarOwner)
	copy(block[297:329], tarOwner)
	putTarNumber(block[329:337], 0)
	putTarNumber(block[337:345], 0)
	putTarNumber(block[148:156], tarChecksum(block))
	return block, nil
}

// checkTarName reports an error where a name does not fit into a header.
func checkTarName(name string) error {
	if len(name) > tarNameMax {
		return fmt.Errorf("file name too long for tar format: %q", name)
	}
	return nil
}

// putTarNumber writes a number in octal with a space behind it, or in base 256 where
// it has too many digits.
func putTarNumber(field []byte, n int64) {
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

// tarChecksum is the sum of all bytes, those of the checksum taken for spaces.
func tarChecksum(block []byte) int64 {
	sum := int64(8 * ' ')
	for i, b := range block {
		if i < 148 || i >= 156 {
			sum += int64(b)
		}
	}
	return sum
}

// tarPadding is how many zeros follow content of that size.
func tarPadding(size int64) int64 { return -size & (tarBlock - 1) }

// tarRoom is what a member with content of that size takes up in its archive.
func tarRoom(size int64) int64 { return tarBlock + size + tarPadding(size) }
