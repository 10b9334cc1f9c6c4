package protocol

import (
	"math"
	"strconv"
)

// System is the row of IDENTIFY_SYSTEM (§4.9).
type System struct {
	SystemID uint64 // the system identifier of pg_control
	Timeline Timeline
	XLogPos  LSN // the end of the WAL known to be flushed
	// Redo is where recovery from the last checkpoint begins, which is not in the row: from
	// there on a replication slot keeps WAL (§9.2). 0: unknown, XLogPos takes its place.
	Redo LSN
}

// SystemColumns are the columns of IDENTIFY_SYSTEM. The timeline is an int8, as
// from PostgreSQL 16 on.
func SystemColumns() []Column {
	return []Column{{"systemid", oidText}, {"timeline", oidInt8}, {"xlogpos", oidText}, {"dbname", oidText}}
}

// Row encodes the row for the wire, with the position as a major version of PostgreSQL
// prints it. dbname is NULL.
func (s System) Row(major int) Row {
	return Row{strconv.AppendUint(nil, s.SystemID, 10), integer(s.Timeline), []byte(s.XLogPos.Text(major)), nil}
}

// DecodeSystem decodes the row of IDENTIFY_SYSTEM. A value of the wrong form is an
// error that names its column.
func DecodeSystem(row Row) (System, error) {
	r := readRow("IDENTIFY_SYSTEM", row, SystemColumns()[:3])
	text := r.text()
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.fail(text)
	}
	s := System{
		SystemID: id,
		Timeline: Timeline(r.integer(1, math.MaxUint32)),
		XLogPos:  r.lsn(),
	}
	return s, r.err
}
