package datadir

import (
	"bytes"
	"context"
	"io"
	"io/fs"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/page"
)

// shownFailures is how many checksum failures of a file are reported one by one.
const shownFailures = 5

// verifiedFile is a relation's file whose pages are verified as they are read, as
// PostgreSQL 17 does it (sendFile in backup/basebackup.c), but for what excuses a page.
type verifiedFile struct {
	file
	dir        *Dir
	tablespace protocol.Tablespace // where it lies, for messages
	firstBlock uint32              // the relation's block that the file begins with
	replayed   replayed            // what WAL replay does to a copy
	start      protocol.LSN        // where replay begins
	walEnd     protocol.LSN        // and where it ends; 0: the WAL in pg_wal tells
	notice     protocol.NoticeFunc // where the warnings go

	flawless int64 // the pages from here to offset verified at the first look
	failures int
	reported bool   // the total
	blind    bool   // a part of a page was met, or checksums were switched off: no verification from there
	again    []byte // a page that is read a second time
}

// replayed says what WAL replay does to the copy of a page.
type replayed int

const (
	notReplayed   replayed = iota // nothing: the copy starts as it is
	replayedCold                  // it replaces those that have changed since the start; nobody writes now
	replayedCrash                 // the same, and those that a crash has torn
	replayedLive                  // the server may be writing the page at this moment
)

// newVerifiedFile takes f over, a file of a relation.
func newVerifiedFile(d *Dir, c controlfile.Control, f file, t protocol.Tablespace, r protocol.Relation, o protocol.OpenOptions) *verifiedFile {
	return &verifiedFile{
		file:       f,
		dir:        d,
		tablespace: t,
		firstBlock: r.Segment * c.RelSegSize,
		replayed:   d.replay(c, o),
		start:      o.StartPtr,
		walEnd:     o.WALEnd,
		notice:     o.Notice,
	}
}

// display is the file's name in messages.
func (v *verifiedFile) display() string { return shown(displayName(v.tablespace, v.name)) }

// replay tells what a start of the copy will do.
func (d *Dir) replay(c controlfile.Control, o protocol.OpenOptions) replayed {
	switch {
	case d.RecoveryOnRestore:
		return replayedLive
	case !d.recovers(c):
		return notReplayed
	case c.ShutDownStandby(), o.WALEnd != 0:
		return replayedCold
	}
	return replayedCrash
}

// ChecksumFailures counts the pages found damaged so far.
func (v *verifiedFile) ChecksumFailures() int { return v.failures }

// Read reads whole pages, but for a part of one where the file ends. It needs
// room for one page at least, else it is io.ErrShortBuffer. Damaged pages are
// warned about and delivered.
func (v *verifiedFile) Read(p []byte) (int, error) {
	switch {
	case v.closed:
		return 0, fs.ErrClosed
	case len(p) == 0:
		return 0, nil
	case v.offset >= v.end && v.reported:
		return 0, io.EOF
	case len(p) < page.Size:
		return 0, io.ErrShortBuffer
	}
	n, err := v.readAt(p[:len(p)-len(p)%page.Size], v.offset)
	if err == nil {
		n, err = v.verify(p[:n])
	}
	v.offset += int64(n)
	v.cache.behind(v.offset)
	if err == nil && v.offset >= v.end {
		v.reportTotal()
		if n == 0 {
			err = io.EOF
		}
	}
	return n, err
}

// Version is the version of the file now; zero where a page that was read did not verify at the
// first look, or was not looked at.
func (v *verifiedFile) Version() protocol.FileVersion {
	if v.flawless > 0 || v.blind {
		return protocol.FileVersion{}
	}
	return v.file.Version()
}

// InPlace is the file's descriptor, and where the last n bytes that were read lie in it. It
// is not ok where one of their pages did not verify at the first look, where the file is
// a part of another, and where it is dropped from the page cache behind the read.
func (v *verifiedFile) InPlace(n int) (fd int, offset int64, ok bool) {
	fd, _, whole := v.Descriptor()
	offset = v.offset - int64(n)
	return fd, offset, whole && !v.closed && !v.blind && v.cache == nil && offset >= v.flawless
}

// verify looks at the pages that lie at the current offset and tells how many
// bytes are left of them: fewer where the file was truncated meanwhile.
func (v *verifiedFile) verify(p []byte) (int, error) {
	for at := 0; at < len(p) && !v.blind; at += page.Size {
		block := v.firstBlock + uint32((v.offset+int64(at))/page.Size)
		if len(p)-at < page.Size {
			v.blind = true
			v.notice(protocol.Warningf(`could not verify checksum in file "%s", block %d: read buffer size %d and page size %d differ`,
				v.display(), block, len(p)-at, page.Size))
			break
		}
		content := p[at : at+page.Size]
		if ok, _, _ := page.Verify(content, block); ok {
			continue
		}
		v.flawless = v.offset + int64(at) + page.Size
		whole, err := v.verifyAgain(content, block, v.offset+int64(at))
		if err != nil || !whole {
			return at, err
		}
	}
	return len(p), nil
}

// verifyAgain reads a page a second time, as it may have been half written, and
// leaves what it read in content. It reports false where the file now ends before the
// page.
func (v *verifiedFile) verifyAgain(content []byte, block uint32, offset int64) (whole bool, err error) {
	if v.again == nil {
		v.again = make([]byte, page.Size)
	}
	n, err := v.readAt(v.again, offset)
	switch {
	case err != nil:
		return false, err
	case n == 0:
		return false, nil
	case n < page.Size:
		return false, protocol.Errorf(protocol.CodeIOError, `could not reread block %d of file "%s": read %d of %d bytes`,
			block, v.display(), n, page.Size)
	}
	changed := !bytes.Equal(content, v.again)
	copy(content, v.again)
	ok, calculated, stored := page.Verify(content, block)
	if ok {
		return true, nil
	}
	excused, err := v.excused(content, changed)
	if err == nil && !excused {
		v.fail(block, calculated, stored)
	}
	return true, err
}

// excused reports whether WAL replay makes up for a page that is not whole: one that
// was written since the start of the backup, which its LSN tells, for the first
// change since then has the whole page in the WAL. An LSN that the cluster has not
// come to is itself a sign of damage. A page that changed between two looks is in
// flight, whatever of its LSN is there already.
func (v *verifiedFile) excused(content []byte, changed bool) (bool, error) {
	c, _, err := v.dir.readControl(context.Background(), controlData)
	if err != nil {
		return false, controlError(context.Background(), err)
	}
	if !c.VerifiesPages() {
		v.blind = true // checksums have been switched off meanwhile
		return true, nil
	}
	lsn := page.LSN(content)
	switch {
	case v.replayed == notReplayed:
		return false, nil
	case v.start == 0 || lsn < v.start:
		return changed && v.replayed == replayedLive, nil
	case v.walEnd != 0:
		return lsn <= v.walEnd, nil
	}
	return v.dir.walReached(c, lsn)
}

func (v *verifiedFile) fail(block uint32, calculated, stored uint16) {
	v.failures++
	if v.failures > shownFailures {
		return
	}
	mended := ""
	if v.replayed == replayedCrash {
		mended = "; crash recovery mends the page if it was torn and the WAL has an image of it"
	}
	v.notice(protocol.Warningf(`checksum verification failed in file "%s", block %d: calculated %X but expected %X%s`,
		v.display(), block, calculated, stored, mended))
	if v.failures == shownFailures {
		v.notice(protocol.Warningf(`further checksum verification failures in file "%s" will not be reported`, v.display()))
	}
}

// reportTotal tells once, at the end of the file, how many there were.
func (v *verifiedFile) reportTotal() {
	if v.failures > 1 && !v.reported {
		v.notice(protocol.Warningf(`file "%s" has a total of %d checksum verification failures`, v.display(), v.failures))
	}
	v.reported = true
}
