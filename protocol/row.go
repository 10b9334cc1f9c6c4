package protocol

import (
	"fmt"
	"strconv"
)

// The types of the columns, by the OIDs of pg_type.
const (
	oidChar = 18
	oidInt8 = 20
	oidInt4 = 23
	oidText = 25
	oidOID  = 26
)

// Column is a column of a result set: its name and the OID of its type. All
// results of the protocol are in text format.
type Column struct {
	Name string
	Type uint32
}

// Length is the length of a value of the column's type in bytes, as in pg_type: -1 for
// one without a fixed length.
func (c Column) Length() int16 {
	switch c.Type {
	case oidChar:
		return 1
	case oidInt4, oidOID:
		return 4
	case oidInt8:
		return 8
	default:
		return -1
	}
}

// Row is the values of one row in text format. A nil value is NULL.
type Row [][]byte

func integer[T ~int | ~int64 | ~uint32](v T) []byte { return strconv.AppendInt(nil, int64(v), 10) }

// rowReader takes the values of a row one after the other and remembers the
// first that was not as it should be.
type rowReader struct {
	command string
	columns []Column
	row     Row
	column  int // the next
	err     error
}

// readRow begins to read a row that must have at least as many columns as the
// command's result set: a later version may append some.
func readRow(command string, row Row, columns []Column) *rowReader {
	r := &rowReader{command: command, columns: columns, row: row}
	if len(row) < len(columns) {
		r.err = fmt.Errorf("result of %s has %d columns, expected %d", command, len(row), len(columns))
	}
	return r
}

// optional is the next value, or nil where it is NULL.
func (r *rowReader) optional() []byte {
	if r.err != nil {
		return nil
	}
	v := r.row[r.column]
	r.column++
	return v
}

func (r *rowReader) text() string {
	v := r.optional()
	if v == nil {
		r.fail("NULL")
	}
	return string(v)
}

func (r *rowReader) lsn() LSN {
	v := r.text()
	if r.err != nil {
		return 0
	}
	lsn, err := ParseLSN(v)
	if err != nil {
		r.fail(v)
	}
	return lsn
}

// integer is the next value as a decimal number of [lowest, highest].
func (r *rowReader) integer(lowest, highest int64) int64 {
	v := r.text()
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < lowest || n > highest {
		r.fail(v)
	}
	return n
}

// integerOr is integer, or null where the value is NULL.
func (r *rowReader) integerOr(null, lowest, highest int64) int64 {
	if r.err == nil && r.row[r.column] == nil {
		r.column++
		return null
	}
	return r.integer(lowest, highest)
}

// fail complains about the value that was taken last.
func (r *rowReader) fail(value string) {
	if r.err == nil {
		r.err = fmt.Errorf("result of %s has an unexpected value in column %q: %q",
			r.command, r.columns[r.column-1].Name, Shorten(value, 64))
	}
}
