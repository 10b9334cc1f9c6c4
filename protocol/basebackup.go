package protocol

// BaseBackupPosition is the row that BASE_BACKUP begins and ends with (§9.1).
type BaseBackupPosition struct {
	Position LSN
	Timeline Timeline
}

// BaseBackupPositionColumns are the columns of a [BaseBackupPosition].
func BaseBackupPositionColumns() []Column {
	return []Column{{"recptr", oidText}, {"tli", oidInt8}}
}

// Row encodes the row for the wire, in the form of the major version of PostgreSQL.
func (p BaseBackupPosition) Row(major int) Row {
	return Row{[]byte(p.Position.Text(major)), integer(p.Timeline)}
}
