package datadir

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// walReached reports whether the cluster's WAL has been written up to lsn, the end of a
// record. PostgreSQL, a standby too, writes a page to disk only after the WAL of the page's
// last change. So where lsn is a page's LSN, false means that this LSN is damaged. The
// proof is a page in pg_wal that belongs to its place: the one at lsn, or one of a later
// segment. Segments that were recycled or allocated in advance have other pages, or none.
func (d *Dir) walReached(c controlfile.Control, lsn protocol.LSN) (bool, error) {
	wal, err := d.openWALDirectory()
	if err != nil {
		return false, err
	}
	defer wal.Close()
	names, err := wal.Names(-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, ioError("read directory", walDirectory, err)
	}
	last := max(lsn, 1) - 1 // the record's last byte
	size := protocol.LSN(c.WALSegmentSize)
	for _, name := range names {
		_, start, valid := protocol.ParseWALFileName(name, int64(size))
		if !valid || start+(size-1) < last {
			continue
		}
		at := max(start, last)
		holds, err := holdsPage(wal, name, c, start, at-at%protocol.LSN(c.WALBlockSize))
		if err != nil || holds {
			return holds, err
		}
	}
	return false, nil
}

// holdsPage reports whether the content of a file belongs to its name and includes the WAL
// page that begins at page. A file that is gone has no pages.
func holdsPage(wal beneath.Dir, name string, c controlfile.Control, start, page protocol.LSN) (bool, error) {
	fd, st, err := wal.Open(name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EISDIR), errors.Is(err, beneath.ErrSpecial):
		return false, nil
	case err != nil:
		return false, ioError("read file", walDirectory+"/"+name, err)
	}
	defer fd.Close()
	var header [longPageHeader]byte
	err = checkSegment(wal, fd, st, name, c)
	if err == nil {
		_, err = fd.ReadAt(header[:], int64(page-start))
	}
	switch {
	case errors.Is(err, errNotSegment), errors.Is(err, io.EOF), errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, ioError("read file", walDirectory+"/"+name, err)
	}
	h := decodePageHeader(header)
	return h.magic != 0 && h.address == page, nil
}
