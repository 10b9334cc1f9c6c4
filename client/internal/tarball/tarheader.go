package tarball

import (
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// The archives are those of PostgreSQL's own base backups (src/port/tar.c): POSIX
// ustar without prefixes, and sizes of 8 GiB and more in base 256.
const (
	tarBlock   = 512
	tarTrailer = 2 * tarBlock  // zeros at the end of an archive
	tarNameMax = 99            // bytes of a name, and of what a link leads to without an extension
	tarOwner   = "postgres"    // whose the files are, wherever there is such a user
	tarMagic   = "ustar\x0000" // with the version
)

// The kinds of members.
const (
	tarRegular   = '0'
	tarSymlink   = '2'
	tarDirectory = '5'
	tarLongLink  = 'K' // GNU: its content is what the member behind it leads to
)

// tarLongLinkName is the name of a tarLongLink member, for programs that take it for a file.
// PostgreSQL's verification of archives does so, and looks at nothing in pg_wal.
const tarLongLinkName = "pg_wal/@LongLink"

// tarHeader describes a member.
type tarHeader struct {
	name    string // of a directory, too, without a slash at its end
	kind    byte
	size    int64 // of the content, which only a regular file has
	mode    fs.FileMode
	modTime int64  // Unix seconds
	link    string // what a link leads to
}

// encode is the header: a block, with another member ahead of it where a link leads
// farther than a block has room for. POSIX's way to say that, pax, is refused by
// pg_verifybackup.
func (h tarHeader) encode() ([]byte, error) {
	if err := checkTarName(h.name); err != nil {
		return nil, err
	}
	if len(h.link) <= tarNameMax {
		return h.block(), nil
	}
	content := h.link + "\x00"
	long := tarHeader{name: tarLongLinkName, kind: tarLongLink, size: int64(len(content)), mode: 0o600, modTime: h.modTime}
	blocks := append(long.block(), content...)
	blocks = append(blocks, make([]byte, tarPadding(long.size))...)
	return append(blocks, h.block()...), nil
}

// block is the block of the header itself.
func (h tarHeader) block() []byte {
	block := make([]byte, tarBlock)
	name := h.name
	if h.kind == tarDirectory || h.kind == tarSymlink {
		name += "/"
	}
	copy(block[0:100], name)
	putTarNumber(block[100:108], int64(h.mode.Perm()))
	putTarNumber(block[108:116], int64(max(os.Geteuid(), 0)))
	putTarNumber(block[116:124], int64(max(os.Getegid(), 0)))
	putTarNumber(block[124:136], h.size)
	putTarNumber(block[136:148], max(h.modTime, 0))
	block[156] = h.kind
	copy(block[157:256], h.link)
	copy(block[257:265], tarMagic)
	copy(block[265:297], tarOwner)
	copy(block[297:329], tarOwner)
	putTarNumber(block[329:337], 0)
	putTarNumber(block[337:345], 0)
	putTarNumber(block[148:156], tarChecksum(block))
	return block
}

// checkTarName reports an error where a name does not fit into a header.
func checkTarName(name string) error {
	if len(name) > tarNameMax {
		return fmt.Errorf("file name too long for tar format: %q", name)
	}
	return nil
}

// checkTarNames reports an error where a file or directory of the listing has a name that is
// too long for an archive.
func checkTarNames(l *output.Listing) error {
	check := func(path string) error {
		if oid, rest, within := output.SplitTablespacePath(path); within && rest != "" && slices.Contains(l.Links, oid) {
			path = rest // in an archive of its own
		}
		if err := checkTarName(path); err != nil {
			return fmt.Errorf("%w: move it out of the data directory, or take the backup in plain format", err)
		}
		return nil
	}
	for _, path := range l.Directories {
		if err := check(path); err != nil {
			return err
		}
	}
	for i := range int32(l.Files.Len()) {
		if err := check(l.Files.At(i).Path); err != nil {
			return err
		}
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
