package protocol

import (
	"math"
	"time"
)

// ExtensionProgress is the extension of LIST_BACKUPS and ALTER_BACKUP (§8.2).
const ExtensionProgress Extension = "progress"

// BackupStatus is a row of LIST_BACKUPS (§8.2): a running backup.
type BackupStatus struct {
	Backup   string   // the first 8 characters of the id
	Role     string   // of the session that leads it
	Phase    string   // "starting", "running" or "stopping"
	StartPtr LSN      // 0 while starting
	Timeline Timeline // 0 while starting
	Started  time.Time
	Total    int64 // bytes; -1 while nobody has sized the backup
	Streamed int64 // bytes of files sent so far, WAL and repeated files included
	Files    int64 // whole files sent so far
	Sessions int64 // that take part now, the leader included
	MaxRate  int   // the rate that holds, kB of 1024 bytes a second; 0 for no limit
	// Throttled is how long the sessions have slept for the sake of MaxRate, taken
	// together. The wire has milliseconds.
	Throttled        time.Duration
	ChecksumFailures int64 // pages whose checksum was wrong
	Label            string
}

// BackupStatusColumns are the columns of LIST_BACKUPS.
func BackupStatusColumns() []Column {
	return []Column{
		{"backup", oidText}, {"role", oidText}, {"phase", oidText}, {"startptr", oidText}, {"tli", oidInt8},
		{"started", oidInt8}, {"backup_total", oidInt8}, {"backup_streamed", oidInt8}, {"files_sent", oidInt8},
		{"sessions", oidInt8}, {"max_rate", oidInt8}, {"throttled_ms", oidInt8}, {"checksum_failures", oidInt8},
		{"label", oidText},
	}
}

// Row encodes the row for the wire. startptr and tli are NULL while the backup starts,
// backup_total and max_rate where there is none.
func (b BackupStatus) Row() Row {
	row := Row{
		[]byte(b.Backup), []byte(b.Role), []byte(b.Phase), nil, nil,
		integer(b.Started.Unix()), nil, integer(b.Streamed), integer(b.Files),
		integer(b.Sessions), nil, integer(b.Throttled.Milliseconds()), integer(b.ChecksumFailures),
		[]byte(b.Label),
	}
	if b.Timeline != 0 {
		row[3], row[4] = []byte(b.StartPtr.String()), integer(b.Timeline)
	}
	if b.Total >= 0 {
		row[6] = integer(b.Total)
	}
	if b.MaxRate > 0 {
		row[10] = integer(b.MaxRate)
	}
	return row
}

// DecodeBackupStatus decodes a row of LIST_BACKUPS. A value of the wrong form is an error
// that names its column. Columns behind those that are known are ignored.
func DecodeBackupStatus(row Row) (BackupStatus, error) {
	r := readRow("LIST_BACKUPS", row, BackupStatusColumns())
	b := BackupStatus{Backup: r.text(), Role: r.text(), Phase: r.text()}
	if r.err == nil && row[3] == nil && row[4] == nil {
		r.column = 5
	} else {
		b.StartPtr = r.lsn()
		b.Timeline = Timeline(r.integer(1, math.MaxUint32))
	}
	b.Started = time.Unix(r.integer(0, math.MaxInt64), 0)
	b.Total = r.integerOr(-1, 0, math.MaxInt64)
	b.Streamed = r.integer(0, math.MaxInt64)
	b.Files = r.integer(0, math.MaxInt64)
	b.Sessions = r.integer(0, math.MaxInt64)
	b.MaxRate = int(r.integerOr(0, 1, math.MaxInt32))
	b.Throttled = time.Duration(r.integer(0, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	b.ChecksumFailures = r.integer(0, math.MaxInt64)
	b.Label = r.text()
	return b, r.err
}
