package client

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// checkStandby says which options do not go together with WriteRecoveryConf.
func (o *Options) checkStandby() error {
	switch {
	case o.PrimaryConnInfo != "" && !o.WriteRecoveryConf:
		return wrongOption("%s requires %s", "PrimaryConnInfo", "WriteRecoveryConf")
	case o.PrimaryConnInfo != "":
		if err := conninfo.CheckString(o.PrimaryConnInfo); err != nil {
			return wrongOption("invalid value for option %s: "+escaped(err.Error()), "PrimaryConnInfo")
		}
	case o.WriteRecoveryConf && o.ConnInfo == nil:
		return wrongOption("%s needs %s, which primary_conninfo is made of", "WriteRecoveryConf", "ConnInfo")
	}
	return nil
}

// findPrimary finds out what the standby that the backup is to be will stream from. What
// stands in the way of one is known before anything is copied (§5.15).
func (b *backup) findPrimary(context.Context) error {
	b.tellOfSlot()
	if !b.WriteRecoveryConf {
		return nil
	}
	if level, err := b.show("wal_level"); level == "minimal" {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "cannot make a standby: the cluster's wal_level is \"minimal\"").
			WithHint("Set wal_level to \"replica\" or higher and restart the server before the backup is taken.")
	} else if err != nil && !protocol.HasCode(err, protocol.CodeUndefinedObject) {
		return err
	}
	access, address := b.walAccess(), b.leader.Parameters[protocol.ParameterPrimaryConnInfo]
	withDatabase := b.cluster.versionNum >= 170000
	switch {
	case b.PrimaryConnInfo != "":
		b.primary = b.PrimaryConnInfo
	case access != "" && access != protocol.WALStreamed:
		who, err := b.whoDoesNotStream()
		if err != nil {
			return err
		}
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "cannot make a standby: %s stream write-ahead log", who).
			WithHint("Say by --primary-conninfo which server the standby is to stream from.")
	case address == "":
		b.primary = b.ConnInfo.PrimaryConnInfo(withDatabase)
		b.events.tell(LevelWarning, "primary_conninfo leads to this server, which did not say where PostgreSQL is")
	default:
		primary, err := b.ConnInfo.WithAddress(address)
		if err != nil {
			return fmt.Errorf("server names an invalid primary: %w", err)
		}
		b.primary = primary.PrimaryConnInfo(withDatabase)
		if caveat := primary.Caveat(b.ConnInfo); caveat != "" {
			b.events.tell(LevelWarning, "primary_conninfo leads to %s; --primary-conninfo says otherwise", caveat)
		}
	}
	return nil
}

// tellOfSlot says of a slot that keeps WAL for ever if nobody uses it.
func (b *backup) tellOfSlot() {
	switch {
	case !b.WAL.CreateSlot:
	case !b.WriteRecoveryConf:
		b.events.tell(LevelInfo, "replication slot %q stays, and keeps write-ahead log until it is used or dropped", b.WAL.Slot)
	case b.PrimaryConnInfo != "":
		b.events.tell(LevelInfo, "replication slot %q is created where the backup comes from: it keeps write-ahead log there unless primary_conninfo leads there, too", b.WAL.Slot)
	}
}

// writeRecoveryConf makes a server that is started from the backup a standby, as
// pg_basebackup -R does.
func (b *backup) writeRecoveryConf(context.Context) error {
	if !b.WriteRecoveryConf {
		if b.listing.Has(output.StandbySignalFile) {
			b.events.tell(LevelInfo, "the backup is one of a standby and starts as one, with the same primary_conninfo and primary_slot_name")
		}
		return nil
	}
	settings := recoverySettings(b.primary, b.WAL.Slot)
	now := time.Now().Unix()
	whole, err := b.out.AppendFile(output.AutoConfFile, []byte(settings), now)
	if err != nil {
		return err
	}
	if targets := recoveryTargets(string(whole)); len(targets) > 0 {
		b.events.tell(LevelWarning, "%q sets %s: unless that is removed, the standby recovers up to there only, or does not start",
			output.AutoConfFile, strings.Join(targets, ", "))
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
	quoted := strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`).Replace(connInfo) // guc-file.l: no line ends within quotes
	return "primary_conninfo = '" + quoted + "'\n" +
		"primary_slot_name = '" + slot + "'\n" // its name needs no quoting
}

// recoveryTarget is a line that sets where recovery ends; with ” it takes that back.
var recoveryTarget = regexp.MustCompile(`(?im)^[ \t]*(recovery_target(?:_lsn|_name|_time|_xid)?)[ \t]*(?:=|[ \t])[ \t]*'?([^'\s]?)`)

// recoveryTargets is which settings of postgresql.auto.conf end recovery. The server of the
// backup need not know of them: pg_createsubscriber of 17 and 18 leaves one there, which is
// without effect until a copy recovers.
func recoveryTargets(conf string) []string {
	set := map[string]bool{}
	for _, line := range recoveryTarget.FindAllStringSubmatch(conf, -1) {
		set[strings.ToLower(line[1])] = line[2] != "" // the last line counts
	}
	maps.DeleteFunc(set, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(set))
}
