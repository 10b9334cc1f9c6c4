package controlfile

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/page"
)

// ChecksumsOn is the value of [Control.DataChecksumVersion] that says that every page
// has a checksum (PG_DATA_CHECKSUM_VERSION). Where checksums can be switched while the
// server runs, the states in between have others.
const ChecksumsOn = 1

// VerifiesPages reports whether the cluster's pages are verified as they are sent
// (§4.6): it has page checksums, blocks of 8192 bytes, and the byte order of
// little-endian machines.
func (c Control) VerifiesPages() bool {
	verifies, _ := c.verifiesPages(page.Readable())
	return verifies
}

// WarnUnverified gives notice a warning for START_BACKUP where the cluster has checksums,
// or may have them, and its pages are not verified all the same.
func (c Control) WarnUnverified(notice protocol.NoticeFunc) {
	if _, warning := c.verifiesPages(page.Readable()); warning != nil {
		notice(warning)
	}
}

func (c Control) verifiesPages(littleEndian bool) (verifies bool, warning *protocol.Error) {
	switch {
	case c.DataChecksumVersion == 0:
		return false, nil
	case c.DataChecksumVersion != ChecksumsOn:
		return false, protocol.Warningf("page checksums are not verified: their state in pg_control is %d, neither off nor on", c.DataChecksumVersion)
	case c.BlockSize != page.Size:
		return false, protocol.Warningf("page checksums are not verified: the cluster's block size is %d bytes, not %d", c.BlockSize, page.Size)
	case !littleEndian:
		return false, protocol.Warningf("page checksums are not verified: this machine is big-endian")
	}
	return true, nil
}
