package main

import (
	"cmp"
	"context"
	"log"
	"slices"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// policy decides about the commands of replication sessions: it allows, denies and
// writes down. Ordinary sessions never get here.
type policy struct {
	denied []string // names of commands, in upper case
	log    *log.Logger
}

// authorize is a Server's Authorize. An error that is a *protocol.Error is the answer to
// the client.
func (p policy) authorize(_ context.Context, s walsender.Caller, command string) error {
	// The rest of the command stays out of the log: in it may be the id of a backup, by
	// which anybody could join the backup.
	name := cmp.Or(grammar.Verb(command), "nothing")
	if slices.Contains(p.denied, name) {
		p.log.Printf("%d %q: %s denied", s.ProcessID, s.User, name)
		return protocol.Errorf(protocol.CodeInsufficientPrivilege, "%s is not allowed here", name)
	}
	if name != "SEND_FILE" { // there are as many of these as files
		p.log.Printf("%d %q: %s", s.ProcessID, s.User, name)
	}
	return nil
}
