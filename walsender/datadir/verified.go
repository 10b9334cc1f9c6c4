package datadir

import (
	"bytes"
	"io"
	"io/fs"
	"math"

	"github.com/pgparallel/pgparallel/protocol"
)

// shownFailures is how many checksum failures of a file are reported one by one.
const shownFailures = 5

// verifiedFile is a relation's file whose pages are verified as they are read, as
// PostgreSQL 17 does it (sendFile in backup/basebackup.c).
type verifiedFile struct {
	*file
	display    string              // the name in messages
	firstBlock uint32              // the relation's block that the file begins with
	start      uint64              // pages at or after this LSN are not verified
	live       bool                // the server may be writing
	notice     protocol.NoticeFunc // where the warnings go

	failures int
	reported bool   // the total
	partial  bool   // a part of a page was met: no verification from there
	again    []byte // a page that is read a second time
}

func newVerifiedFile(f *file, recovers bool, relSegSize uint32, at *location, o protocol.OpenOptions) *verifiedFile {
	v := &verifiedFile{
		file:       f,
		display:    displayName(at.tablespace, f.name),
		firstBlock: at.relation.Segment * relSegSize,
		start:      math.MaxUint64, // nothing replaces a page without recovery: every one counts
		live:       recovers,
		notice:     o.Notice,
	}
	if recovers {
		v.start = uint64(o.StartPtr)
	}
	return v
}

// ChecksumFailures counts the pages found damaged so far.
func (v *verifiedFile) ChecksumFailures() int { return v.failures }

// Read reads whole pages, but for a part of one where the file ends. It needs
// room for one page at least, else it is io.ErrShortBuffer. Damaged pages are
// warned about and delivered.
func (v *verifiedFile) Read(p []byte) (int, error) {
	switch {
	case v.fd < 0:
		return 0, fs.ErrClosed
	case len(p) == 0:
		return 0, nil
	case v.offset >= v.end && v.reported:
		return 0, io.EOF
	case len(p) < pageSize:
		return 0, io.ErrShortBuffer
	}
	n, err := v.readAt(p[:len(p)-len(p)%pageSize], v.offset)
	if err == nil {
		n, err = v.verify(p[:n])
	}
	v.offset += int64(n)
	if err == nil && v.offset >= v.end {
		v.reportTotal()
		if n == 0 {
			err = io.EOF
		}
	}
	return n, err
}

// verify looks at the pages that lie at the current offset and tells how many
// bytes are left of them: fewer where the file was truncated meanwhile.
func (v *verifiedFile) verify(p []byte) (int, error) {
	for at := 0; at < len(p) && !v.partial; at += pageSize {
		block := v.firstBlock + uint32((v.offset+int64(at))/pageSize)
		if len(p)-at < pageSize {
			v.partial = true
			v.notice(protocol.Warningf(`could not verify checksum in file "%s", block %d: read buffer size %d and page size %d differ`,
				shown(v.display), block, len(p)-at, pageSize))
			break
		}
		page := p[at : at+pageSize]
		if ok, _, _ := verifyPage(page, block, v.start); ok {
			continue
		}
		whole, err := v.verifyAgain(page, block, v.offset+int64(at))
		if err != nil || !whole {
			return at, err
		}
	}
	return len(p), nil
}

// verifyAgain reads a page a second time, as it may have been half written, and
// leaves what it read in page. A page that changed in between is one that the
// server is just writing: WAL holds it whole. It reports false where the file
// now ends before the page.
func (v *verifiedFile) verifyAgain(page []byte, block uint32, offset int64) (whole bool, err error) {
	if v.again == nil {
		v.again = make([]byte, pageSize)
	}
	n, err := v.readAt(v.again, offset)
	switch {
	case err != nil:
		return false, err
	case n == 0:
		return false, nil
	case n < pageSize:
		return false, protocol.Errorf(protocol.CodeIOError, `could not reread block %d of file "%s": read %d of %d bytes`,
			block, shown(v.display), n, pageSize)
	}
	changed := !bytes.Equal(page, v.again)
	copy(page, v.again)
	ok, calculated, stored := verifyPage(page, block, v.start)
	if !ok && (!changed || !v.live) {
		v.fail(block, calculated, stored)
	}
	return true, nil
}

func (v *verifiedFile) fail(block uint32, calculated, stored uint16) {
	v.failures++
	if v.failures > shownFailures {
		return
	}
	v.notice(protocol.Warningf(`checksum verification failed in file "%s", block %d: calculated %X but expected %X`,
		shown(v.display), block, calculated, stored))
	if v.failures == shownFailures {
		v.notice(protocol.Warningf(`further checksum verification failures in file "%s" will not be reported`, shown(v.display)))
	}
}

// reportTotal tells once, at the end of the file, how many there were.
func (v *verifiedFile) reportTotal() {
	if v.failures > 1 && !v.reported {
		v.notice(protocol.Warningf(`file "%s" has a total of %d checksum verification failures`, shown(v.display), v.failures))
	}
	v.reported = true
}
