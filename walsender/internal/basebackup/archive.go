package basebackup

import (
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/walsender/internal/compression"
)

// Archive is a tar archive on its way.
type Archive struct {
	// Prefix is what the paths of the listing begin with, and the names of members do not:
	// that of a tablespace, as pg_tblspc/16385/, or nothing.
	Prefix string

	stream *Stream
	writer compression.Writer
}

// BeginArchive begins the archive of a tablespace, or of the data directory, whose OID is 0.
// The suffix is that of its compression, which the writer does: one archive after the other may
// use it.
func (w *Stream) BeginArchive(t protocol.Tablespace, suffix string, writer compression.Writer) (*Archive, error) {
	name, prefix := "base.tar", ""
	if t.OID != 0 {
		oid := strconv.FormatUint(uint64(t.OID), 10)
		name, prefix = oid+".tar", "pg_tblspc/"+oid+"/"
	}
	if err := w.beginArchive(name+suffix, t.Location); err != nil {
		return nil, err
	}
	writer.Reset(w)
	return &Archive{Prefix: prefix, stream: w, writer: writer}, nil
}

// End ends an archive. Up to PostgreSQL 14 the zeros at the end are the client's.
func (a *Archive) End() error {
	if a.stream.one {
		if err := a.Write(make([]byte, tarheader.TrailerSize)); err != nil {
			return err
		}
	}
	if err := a.writer.Close(); err != nil {
		return err
	}
	return a.stream.endArchive()
}

// Write adds to the content of the member that was begun.
func (a *Archive) Write(p []byte) error {
	if _, err := a.writer.Write(p); err != nil {
		return err
	}
	return a.stream.count(len(p))
}

// Header begins a member.
func (a *Archive) Header(h tarheader.Header) error {
	block, err := h.Append(nil)
	if err != nil {
		return protocol.Errorf(protocol.CodeInternalError, "%s", err)
	}
	if err := a.Write(block); err != nil {
		return err
	}
	return a.stream.endPart()
}

// Pad ends a member with content of that size in bytes.
func (a *Archive) Pad(size int64) error {
	if err := a.stream.endPart(); err != nil {
		return err
	}
	if err := a.Write(make([]byte, tarheader.Padding(size))); err != nil {
		return err
	}
	return a.stream.endPart()
}

// TablespaceMap is the tablespace_map file: which link leads where.
func TablespaceMap(tablespaces []protocol.Tablespace) []byte {
	escape := strings.NewReplacer("\n", "\\\n", "\r", "\\\r", "\\", "\\\\")
	var lines []byte
	for _, t := range tablespaces {
		if t.OID == 0 || t.InPlace() {
			continue
		}
		lines = strconv.AppendUint(lines, uint64(t.OID), 10)
		lines = append(lines, ' ')
		lines = append(lines, escape.Replace(t.Location)...)
		lines = append(lines, '\n')
	}
	return lines
}
