package protocol

import (
	"math"
	"time"
)

// FileType says what a row of LIST_FILES stands for.
type FileType byte

// The types of files in a listing (§4.5).
const (
	TypeFile      FileType = 'f' // a regular file
	TypeDirectory FileType = 'd'
	TypeLink      FileType = 'l' // the link of a tablespace, pg_tblspc/OID
)

// File is a row of LIST_FILES (§4.5) and of LIST_WAL_FILES (§4.7).
type File struct {
	// Path is relative to the data directory, with slashes, and valid by
	// [CheckPath]. It is bytes: PostgreSQL asks no encoding of file names.
	Path    string
	Type    FileType
	Size    int64     // bytes; 0 for directories and links
	ModTime time.Time // as by [FileTime]

	// What the headers of archives have besides (§9.1). It is not on the wire, and a
	// Mode of 0 says that none of it is known.
	Mode     uint32 // permission bits, 07777
	UID, GID uint32
}

// FileColumns are the columns of LIST_FILES and LIST_WAL_FILES.
func FileColumns() []Column {
	return []Column{{"path", oidText}, {"type", oidChar}, {"size", oidInt8}, {"mtime", oidInt8}}
}

// Row encodes the row for the wire.
func (f File) Row() Row {
	return Row{[]byte(f.Path), {byte(f.Type)}, integer(f.Size), integer(FileTime(f.ModTime).Unix())}
}

// DecodeFile decodes a row of LIST_FILES or LIST_WAL_FILES. A value of the wrong
// form is an error that names its column, a path against [CheckPath] one too. A time
// that no file can have becomes the nearest.
func DecodeFile(row Row) (File, error) {
	r := readRow("LIST_FILES", row, FileColumns())
	f := File{Path: r.text()}
	if kind := r.text(); kind == "f" || kind == "d" || kind == "l" {
		f.Type = FileType(kind[0])
	} else {
		r.fail(kind)
	}
	f.Size = r.integer(0, math.MaxInt64)
	f.ModTime = FileTime(time.Unix(r.integer(math.MinInt64, math.MaxInt64), 0))
	if r.err != nil {
		return f, r.err
	}
	return f, CheckPath(f.Path)
}
