package tarball

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
)

// The archives are those of PostgreSQL's own base backups (package tarheader), but for a
// link that leads farther than a header has room for.
const (
	tarBlock   = tarheader.BlockSize
	tarTrailer = tarheader.TrailerSize
)

// The kinds of members.
const (
	tarRegular   = tarheader.Regular
	tarSymlink   = tarheader.Symlink
	tarDirectory = tarheader.Directory
	tarLongLink  = tarheader.Kind('K') // GNU: its content is what the member behind it leads to
)

// tarLongLinkName is the name of a tarLongLink member, for programs that take it for a file.
// PostgreSQL's verification of archives does so, and looks at nothing in pg_wal.
const tarLongLinkName = "pg_wal/@LongLink"

// tarHeader describes a member.
type tarHeader struct {
	name    string // of a directory, too, without a slash at its end
	kind    tarheader.Kind
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
	if len(h.link) <= tarheader.MaxName {
		return h.block(), nil
	}
	content := h.link + "\x00"
	long := tarHeader{name: tarLongLinkName, kind: tarLongLink, size: int64(len(content)), mode: 0o600, modTime: h.modTime}
	blocks := append(long.block(), content...)
	blocks = append(blocks, make([]byte, tarheader.Padding(long.size))...)
	return append(blocks, h.block()...), nil
}

// block is the block of the header itself.
func (h tarHeader) block() []byte {
	block, err := tarheader.Header{
		Name: h.name, Kind: h.kind, Size: h.size, Mode: uint32(h.mode.Perm()),
		UID: uint32(max(os.Geteuid(), 0)), GID: uint32(max(os.Getegid(), 0)),
		ModTime: time.Unix(h.modTime, 0), Link: h.link[:min(len(h.link), tarheader.MaxName)],
	}.Append(nil)
	if err != nil { // the name was checked, and the link is cut
		panic(err)
	}
	return block
}

// checkTarName reports an error where a name does not fit into a header.
func checkTarName(name string) error {
	if len(name) > tarheader.MaxName {
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
