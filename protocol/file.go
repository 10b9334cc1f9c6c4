package protocol

import (
	"encoding/hex"
	"math"
	"strconv"
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

	// Checksum is the digest of the file, its bytes and not their hex digits, by the
	// algorithm that the listing was asked for; empty where there is none (§8.3).
	Checksum string

	// Version tells one state of a file on disk from the next. It is not on the wire, and
	// zero where it is not known.
	Version FileVersion

	// What the headers of archives have besides (§9.1). It is not on the wire, and a
	// Mode of 0 says that none of it is known.
	Mode     uint32 // permission bits, 07777
	UID, GID uint32
}

// FileVersion is what changes with the content of a file on disk: whoever writes to the file,
// to say it in POSIX's words, marks its last status change for update, and nobody can set that
// time. The clock of a file system moves in steps, often of 4 ms: two states within one step
// can have the same version.
type FileVersion struct {
	Device, Inode uint64
	Size          int64 // bytes
	ModTime       int64 // Unix time in nanoseconds
	ChangeTime    int64 // of the last status change, the same
}

// FileColumns are the columns of LIST_FILES and LIST_WAL_FILES.
func FileColumns() []Column {
	return []Column{{"path", oidText}, {"type", oidChar}, {"size", oidInt8}, {"mtime", oidInt8}}
}

// FileChecksumColumns are the columns of LIST_FILES CHECKSUM (§8.3).
func FileChecksumColumns() []Column { return append(FileColumns(), Column{"checksum", oidText}) }

// Row encodes the row for the wire.
func (f File) Row() Row {
	return Row{[]byte(f.Path), {byte(f.Type)}, integer(f.Size), integer(FileTime(f.ModTime).Unix())}
}

// ChecksumRow encodes the row of LIST_FILES CHECKSUM (§8.3).
func (f File) ChecksumRow() Row {
	var checksum []byte
	if f.Checksum != "" {
		checksum = hex.AppendEncode(nil, []byte(f.Checksum))
	}
	return append(f.Row(), checksum)
}

// DecodeFile decodes a row of LIST_FILES or LIST_WAL_FILES. A value of the wrong
// form is an error that names its column, a path against [CheckPath] one too. A time
// that no file can have becomes the nearest.
func DecodeFile(row Row) (File, error) {
	if f, ok := decodeFile(row); ok {
		return f, CheckPath(f.Path)
	}
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

// decodeFile is [DecodeFile] for a row as it should be, of which there are as many as files:
// nothing but the path is allocated. Of any other row it reports false and says nothing.
func decodeFile(row Row) (File, bool) {
	if len(row) < 4 || row[0] == nil || len(row[1]) != 1 {
		return File{}, false
	}
	kind := FileType(row[1][0])
	size, sizeErr := strconv.ParseInt(string(row[2]), 10, 64)
	modTime, timeErr := strconv.ParseInt(string(row[3]), 10, 64)
	known := kind == TypeFile || kind == TypeDirectory || kind == TypeLink
	if !known || sizeErr != nil || size < 0 || timeErr != nil {
		return File{}, false
	}
	return File{Path: string(row[0]), Type: kind, Size: size, ModTime: FileTime(time.Unix(modTime, 0))}, true
}

// DecodeFileChecksum decodes a row of LIST_FILES CHECKSUM (§8.3), as [DecodeFile] does. The
// algorithm has digests of size bytes; where there is none, the Checksum is empty.
func DecodeFileChecksum(row Row, size int) (File, error) {
	f, err := DecodeFile(row)
	if err != nil {
		return f, err
	}
	r := readRow("LIST_FILES", row, FileChecksumColumns())
	if r.column = len(FileColumns()); r.err != nil {
		return f, r.err
	}
	digits := r.optional()
	if digits == nil {
		return f, nil
	}
	checksum, err := hex.DecodeString(string(digits))
	if err != nil || len(checksum) != size || size == 0 || f.Type != TypeFile {
		r.fail(string(digits))
	}
	f.Checksum = string(checksum)
	return f, r.err
}
