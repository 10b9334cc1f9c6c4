package wire

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
)

// AppendFileRow appends the DataRow message of a row of LIST_FILES or LIST_WAL_FILES, as
// [DataRow] of its Row has it, without making the row: a cluster may have a million files.
func AppendFileRow(dst []byte, f protocol.File) []byte {
	start := len(dst)
	return endRow(appendFile(dst, f, 4), start)
}

// AppendFileChecksumRow appends the DataRow message of a row of LIST_FILES CHECKSUM, as
// [DataRow] of its ChecksumRow has it (§8.3).
func AppendFileChecksumRow(dst []byte, f protocol.File) []byte {
	start := len(dst)
	dst = appendFile(dst, f, 5)
	if f.Checksum == "" {
		return endRow(append(dst, 0xff, 0xff, 0xff, 0xff), start) // NULL
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(hex.EncodedLen(len(f.Checksum))))
	return endRow(hex.AppendEncode(dst, []byte(f.Checksum)), start)
}

// appendFile appends the beginning of a DataRow with so many columns, and the first four of
// them.
func appendFile(dst []byte, f protocol.File, columns byte) []byte {
	dst = append(dst, 'D', 0, 0, 0, 0, 0, columns)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Path)))
	dst = append(dst, f.Path...)
	dst = append(dst, 0, 0, 0, 1, byte(f.Type))
	dst = appendInteger(dst, f.Size)
	return appendInteger(dst, protocol.FileTime(f.ModTime).Unix())
}

// endRow ends the message that begins at start.
func endRow(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-1))
	return dst
}

// appendInteger appends a value of a DataRow: its length, and the number.
func appendInteger(dst []byte, n int64) []byte {
	at := len(dst)
	dst = strconv.AppendInt(append(dst, 0, 0, 0, 0), n, 10)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}
