package walsender

import (
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// listBackups answers LIST_BACKUPS (§8.2), in any state of the session.
func (s *session) listBackups() error {
	var rows []protocol.Row
	for _, b := range s.server.Backups.Backups() {
		if b.Owner == s.user || s.grant.Monitor {
			rows = append(rows, backupStatus(b).Row())
		}
	}
	return s.result("LIST_BACKUPS", protocol.BackupStatusColumns(), rows...)
}

// backupStatus is a backup of the table as the wire has it.
func backupStatus(b sharedstate.Status) protocol.BackupStatus {
	total := b.BytesTotal
	if total == 0 {
		total = -1 // nobody has sized it
	}
	return protocol.BackupStatus{
		Backup:           b.ID,
		Role:             b.Owner,
		Phase:            string(b.State),
		StartPtr:         b.StartPtr,
		Timeline:         b.Timeline,
		Started:          b.Began,
		Total:            total,
		Streamed:         b.BytesSent,
		Files:            b.FilesSent,
		Sessions:         1 + b.SessionsJoined - b.SessionsLeft,
		MaxRate:          b.MaxRate,
		Throttled:        b.Throttled,
		ChecksumFailures: b.ChecksumFailures,
		Label:            b.Label,
	}
}
