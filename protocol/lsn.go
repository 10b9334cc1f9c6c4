package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log: a byte count from its beginning
// (PostgreSQL's XLogRecPtr). The zero value is PostgreSQL's InvalidXLogRecPtr,
// which is never the position of a record.
type LSN uint64

// ParseLSN reads the form in which PostgreSQL prints a position: two
// hexadecimal numbers of one to eight digits with a slash between, as in
// "16/B374D848". The error, where s has another form, is a *[Error] with
// [CodeInvalidTextRepresentation].
func ParseLSN(s string) (LSN, error) {
	hi, lo, found := strings.Cut(s, "/")
	if found {
		h, errHi := parseHex32(hi)
		l, errLo := parseHex32(lo)
		if errHi == nil && errLo == nil {
			return LSN(h<<32 | l), nil
		}
	}
	return 0, Errorf(CodeInvalidTextRepresentation, "could not parse write-ahead log location %q", Shorten(s, 64))
}

func parseHex32(s string) (uint64, error) {
	if len(s) > 8 {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 16, 32)
}

// String is the position as PostgreSQL 13 to 18 print it (%X/%X).
func (l LSN) String() string {
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// Text is the position as a major version of PostgreSQL prints it: from 19 on, the
// second number has eight digits (%X/%08X). Every version reads both.
func (l LSN) Text(major int) string {
	if major < 19 {
		return l.String()
	}
	return fmt.Sprintf("%X/%08X", uint32(l>>32), uint32(l))
}

// Timeline is a timeline ID (PostgreSQL's TimeLineID). Timelines count from 1.
type Timeline uint32
