package client

import (
	"context"
	"fmt"
	"os"
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
	if b.archives == nil {
		if err := b.target.append(output.AutoConfFile, settings); err != nil {
			return err
		}
	} else {
		held := b.archives.held[output.AutoConfFile]
		held.content = append(held.content, settings...)
		if err := b.archives.release(output.AutoConfFile, output.AutoConfFile, now); err != nil {
			return err
		}
	}
	if b.listing.Has(output.StandbySignalFile) { // of a standby it comes with the rest
		return nil
	}
	return b.writeFile(output.StandbySignalFile, nil, now)
}

// recoverySettings is the lines for postgresql.auto.conf (PostgreSQL's recovery_gen.c).
// Without a slot there must be none: one that the source streams through itself would be
// inherited, and is another's.
func recoverySettings(connInfo, slot string) string {
	quoted := strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(connInfo)
	return "primary_conninfo = '" + quoted + "'\n" +
		"primary_slot_name = '" + slot + "'\n" // its name needs no quoting
}

// append adds to a file, or creates it.
func (t *target) append(path, content string) error {
	root, rest := t.locate(path)
	f, err := root.OpenFile(rest, os.O_WRONLY|os.O_CREATE|os.O_APPEND, t.fileMode)
	if err != nil {
		return fmt.Errorf("could not open file %q: %w", path, output.Cause(err))
	}
	defer f.Close()
	if err := setFileMode(f, t.fileMode); err != nil {
		return fmt.Errorf("could not change permissions of file %q: %w", path, output.Cause(err))
	}
	if _, err := f.WriteString(content); err != nil {
		return fmt.Errorf("could not write to file %q: %w", path, output.Cause(err))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("could not close file %q: %w", path, output.Cause(err))
	}
	return nil
}
