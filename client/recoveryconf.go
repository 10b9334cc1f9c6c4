package client

import (
	"context"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// writeRecoveryConf makes a server that is started from the backup a standby of the
// one that the backup is taken from, as pg_basebackup -R does.
func (b *backup) writeRecoveryConf(context.Context) error {
	if !b.WriteRecoveryConf {
		if b.listing.Has(output.StandbySignalFile) {
			b.events.tell(LevelInfo, "the backup is one of a standby and starts as one, with the same primary_conninfo and primary_slot_name")
		}
		return nil
	}
	if wal := protocol.WALAccess(b.leader.Parameters[protocol.ParameterWAL]); wal != "" && wal != protocol.WALStreamed {
		b.events.tell(LevelWarning, "this server streams no WAL: primary_conninfo must be changed before a standby can follow by it")
	}
	settings := recoverySettings(b.ConnInfo.PrimaryConnInfo(b.cluster.versionNum >= 170000), b.WAL.Slot)
	now := time.Now().Unix()
	if err := b.out.AppendFile(output.AutoConfFile, []byte(settings), now); err != nil {
		return err
	}
	if b.listing.Has(output.StandbySignalFile) { // of a standby it comes with the rest
		return nil
	}
	return b.out.WriteFile(output.StandbySignalFile, nil, now)
}

// recoverySettings is the lines for postgresql.auto.conf (PostgreSQL's recovery_gen.c).
// Without a slot there must be none: one that the source streams through itself would be
// inherited, and is another's.
func recoverySettings(connInfo, slot string) string {
	quoted := strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(connInfo)
	return "primary_conninfo = '" + quoted + "'\n" +
		"primary_slot_name = '" + slot + "'\n" // its name needs no quoting
}
