package walsender

import (
	"errors"
	"io"
	"io/fs"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// pageSize is what the ranges of a relation's file consist of, in bytes (§8.3).
const pageSize = 8192

// checkRange refuses a range that no file of the path has (§8.3).
func checkRange(c grammar.SendFile) error {
	switch {
	case !c.IsRange():
		return nil
	case c.Path == controlFile:
		return protocol.Errorf(protocol.CodeInvalidParameterValue, `"%s" is sent as a whole only`, c.Path)
	case protocol.KindOfPath(c.Path) == protocol.PathRelation && (c.Offset%pageSize != 0 || c.Length%pageSize != 0):
		return protocol.Errorf(protocol.CodeInvalidParameterValue,
			`OFFSET and LENGTH must be multiples of %d in a file of a relation`, pageSize)
	}
	return nil
}

// skip makes the next read of a file that has not been read begin at an offset, or at the
// file's end if that comes before.
func skip(file fs.File, offset int64) error {
	if offset == 0 {
		return nil
	}
	if seeker, ok := file.(io.Seeker); ok {
		info, err := file.Stat()
		if err == nil {
			_, err = seeker.Seek(min(offset, info.Size()), io.SeekStart)
		}
		return err
	}
	buffer := make([]byte, 16*pageSize) // whole pages, for a VerifiedFile
	for offset > 0 {
		n, err := io.ReadFull(file, buffer[:min(offset, int64(len(buffer)))])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		offset -= int64(n)
	}
	return nil
}

// within is as much of a buffer as is still to be filled with the file.
func (t *transfer) within(buffer []byte) []byte {
	if t.length == 0 {
		return buffer
	}
	return buffer[:min(int64(len(buffer)), t.length-t.read)]
}

// isRead takes note of bytes that were read, and reports whether the range that was asked for
// has been read to its end.
func (t *transfer) isRead(n int) bool {
	t.read += int64(n)
	return t.length > 0 && t.read >= t.length
}
