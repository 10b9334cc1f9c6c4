package protocol

import "math"

// BackupStart is the row of START_BACKUP (§4.1).
type BackupStart struct {
	StartPoint
	ID string // unique_backup_id: 32 lower-case hexadecimal characters
}

// BackupStartColumns are the columns of START_BACKUP.
func BackupStartColumns() []Column {
	return []Column{{"startptr", oidText}, {"tli", oidInt8}, {"backup_label", oidText}, {"unique_backup_id", oidText}}
}

// Row encodes the row for the wire.
func (b BackupStart) Row() Row {
	return Row{[]byte(b.StartPtr.String()), integer(b.Timeline), nullIfEmpty(b.Label), []byte(b.ID)}
}

// DecodeBackupStart decodes the row of START_BACKUP. A value of the wrong form is
// an error that names its column.
func DecodeBackupStart(row Row) (BackupStart, error) {
	r := readRow("START_BACKUP", row, BackupStartColumns())
	b := BackupStart{
		StartPoint: StartPoint{
			StartPtr: r.lsn(),
			Timeline: Timeline(r.integer(1, math.MaxUint32)),
			Label:    string(r.optional()),
		},
		ID: r.text(),
	}
	return b, r.err
}

func nullIfEmpty(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
