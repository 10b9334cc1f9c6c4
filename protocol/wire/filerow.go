package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
)

// AppendFileRow appends the DataRow message of a row of LIST_FILES or LIST_WAL_FILES, as
// [DataRow] of its Row has it, without making the row: a cluster may have a million files.
func AppendFileRow(dst []byte, f protocol.File) []byte {
	start := len(dst)
	dst = append(dst, 'D', 0, 0, 0, 0, 0, 4)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Path)))
	dst = append(dst, f.Path...)
	dst = append(dst, 0, 0, 0, 1, byte(f.Type))
	dst = appendInteger(dst, f.Size)
	dst = appendInteger(dst, protocol.FileTime(f.ModTime).Unix())
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
