package protocol

import "math"

// BackupStop is the row of STOP_BACKUP (§4.3).
type BackupStop struct {
	StartPtr LSN
	Timeline Timeline // the START TIMELINE of the label
	// Label is the backup_label file to write into the backup. Empty means
	// that the backup has none and that none may be written: the copy starts
	// without recovery, so nothing may be missing from it.
	Label string
	// StopPtr is where the WAL that the backup needs ends: [StartPtr, StopPtr).
	// Zero (NULL on the wire) means that the end is not known and every
	// segment from StartPtr on is needed.
	StopPtr      LSN
	StopTimeline Timeline // of the history that holds StopPtr
}

// BackupStopColumns are the columns of STOP_BACKUP.
func BackupStopColumns() []Column {
	return []Column{
		{"startptr", oidText}, {"tli", oidInt8}, {"backup_label", oidText},
		{"stopptr", oidText}, {"stoptli", oidInt8},
	}
}

// Row encodes the row for the wire.
func (b BackupStop) Row() Row {
	row := Row{[]byte(b.StartPtr.String()), integer(b.Timeline), nullIfEmpty(b.Label), nil, integer(b.StopTimeline)}
	if b.StopPtr != 0 {
		row[3] = []byte(b.StopPtr.String())
	}
	return row
}

// DecodeBackupStop decodes the row of STOP_BACKUP. A value of the wrong form is
// an error that names its column.
func DecodeBackupStop(row Row) (BackupStop, error) {
	r := readRow("STOP_BACKUP", row, BackupStopColumns())
	b := BackupStop{
		StartPtr: r.lsn(),
		Timeline: Timeline(r.integer(1, math.MaxUint32)),
		Label:    string(r.optional()),
	}
	if r.err == nil && row[3] == nil {
		r.column++
	} else {
		b.StopPtr = r.lsn()
	}
	b.StopTimeline = Timeline(r.integer(1, math.MaxUint32))
	return b, r.err
}
