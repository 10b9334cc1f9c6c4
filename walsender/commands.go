package walsender

import (
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// CommandFamilies are kinds of commands, of which [Server.Commands] can be one or, with |,
// several.
type CommandFamilies uint8

// The families. IDENTIFY_SYSTEM, SHOW and TIMELINE_HISTORY (§4.9), LIST_BACKUPS and
// ALTER_BACKUP (§8.2) are in none: every server answers them.
const (
	// ParallelBackup is START_BACKUP and the other commands of §4.
	ParallelBackup CommandFamilies = 1 << iota
	// BaseBackup is BASE_BACKUP (§9.1), for pg_basebackup and what is like it.
	BaseBackup
	// Replication is START_REPLICATION and the commands of replication slots (§9.2), for
	// pg_receivewal, pg_basebackup -X stream and standbys.
	Replication
)

// has reports whether the server answers the commands of a family.
func (c CommandFamilies) has(family CommandFamilies) bool { return c == 0 || c&family != 0 }

// familyOf is the family of a command, or 0.
func familyOf(command grammar.Command) CommandFamilies {
	switch command.(type) {
	case nil, grammar.IdentifySystem, grammar.Show, grammar.TimelineHistory, grammar.ListBackups, grammar.AlterBackup:
		return 0
	case grammar.BaseBackup:
		return BaseBackup
	case grammar.StartReplication, grammar.CreateReplicationSlot, grammar.DropReplicationSlot, grammar.ReadReplicationSlot:
		return Replication
	}
	return ParallelBackup
}

// checkServed is the answer to a command of a family that the server does not answer: that
// of a server which does not know the command.
func (s *Server) checkServed(command grammar.Command) error {
	family := familyOf(command)
	if family == 0 || s.Commands.has(family) {
		return nil
	}
	return protocol.Errorf(protocol.CodeFeatureNotSupported, "unrecognized replication command \"%s\"", grammar.Verb(command.String()))
}
