package protocol

import (
	"math"
	"strconv"
)

// Tablespace is a row of LIST_TABLESPACES (§4.4).
type Tablespace struct {
	OID uint32 // 0 for the data directory itself, which is the last row
	// Location is the directory that the tablespace's link points to, or
	// "pg_tblspc/OID" for an in-place tablespace, which has no link. Empty for
	// the data directory.
	Location string
	Size     int64 // kB of 1024 bytes; -1 where it was not asked for
}

// InPlace reports whether the tablespace is a real directory under pg_tblspc:
// clients map and link nothing for it.
func (t Tablespace) InPlace() bool {
	return t.OID != 0 && t.Location == "pg_tblspc/"+strconv.FormatUint(uint64(t.OID), 10)
}

// TablespaceColumns are the columns of LIST_TABLESPACES.
func TablespaceColumns() []Column {
	return []Column{{"spcoid", oidOID}, {"spclocation", oidText}, {"size", oidInt8}}
}

// Row encodes the row for the wire.
func (t Tablespace) Row() Row {
	row := Row{nil, nil, nil}
	if t.OID != 0 {
		row[0], row[1] = integer(t.OID), []byte(t.Location)
	}
	if t.Size >= 0 {
		row[2] = integer(t.Size)
	}
	return row
}

// DecodeTablespace decodes a row of LIST_TABLESPACES. A value of the wrong form is
// an error that names its column.
func DecodeTablespace(row Row) (Tablespace, error) {
	r := readRow("LIST_TABLESPACES", row, TablespaceColumns())
	t := Tablespace{Size: -1}
	if r.err == nil && row[0] == nil && row[1] == nil {
		r.column = 2
	} else {
		t.OID = uint32(r.integer(1, math.MaxUint32))
		t.Location = r.text()
	}
	if r.err == nil && row[2] != nil {
		t.Size = r.integer(0, math.MaxInt64)
	}
	return t, r.err
}
