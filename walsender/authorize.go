package walsender

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// Caller is the session that asks for a command, as [Server.Authorize] sees it.
type Caller struct {
	ProcessID uint32 // of BackendKeyData, and in the log
	Remote    net.Addr
	// User is the role that the startup packet named. Without a [Server.Authenticator] it
	// is what the client claims, and proves nothing; with one, the Authenticator has let
	// the peer in as that role.
	User            string
	Identity        string // what the peer has proved to be ([Grant]); empty: nothing
	ApplicationName string // what the client calls itself; empty if nothing
}

// authorize decides whether the session may run a command: by what it was granted, and
// as the server's owner says.
func (s *session) authorize(ctx context.Context, text string) error {
	err := s.checkGrant(text)
	if err == nil {
		err = s.askOwner(ctx, text)
	}
	if err != nil {
		s.log.Info("command refused", zap.Error(err))
	}
	return err
}

// checkGrant refuses a command of a kind that the session was not granted (§1.11). It
// goes by what the command is parsed as, which is what is run.
func (s *session) checkGrant(text string) error {
	if s.grant.Backup && s.grant.PassThrough {
		return nil
	}
	command, err := grammar.Parse(text)
	switch command.(type) {
	case grammar.IdentifySystem, grammar.Show, grammar.TimelineHistory, grammar.ListBackups:
		return nil
	case grammar.AlterBackup:
		if s.grant.Monitor {
			return nil
		}
	}
	switch {
	case s.isForPostgreSQL(command, err):
		if !s.grant.PassThrough {
			return s.denied("permission denied to use PostgreSQL's replication commands")
		}
	case command != nil && !s.grant.Backup:
		return s.denied("permission denied to take a backup")
	}
	return nil
}

// isForPostgreSQL reports whether a text, with what it is parsed as, is a command that
// would be passed through: a stock one (§9), or one that only PostgreSQL may know.
func (s *session) isForPostgreSQL(command grammar.Command, err error) bool {
	_, passes := s.server.Cluster.(PassThrough)
	isStock := familyOf(command)&(BaseBackup|Replication) != 0
	return passes && (isStock || protocol.HasCode(err, protocol.CodeFeatureNotSupported))
}

// denied is the answer to a command that the session may not run, or, from a reserved
// place, cannot (§1.8).
func (s *session) denied(message string) error {
	if s.reserved {
		return errTooManySessions(protocol.SeverityError, s.server.maxWALSenders())
	}
	return protocol.Errorf(protocol.CodeInsufficientPrivilege, "%s", message)
}

func (s *session) askOwner(ctx context.Context, text string) error {
	if s.server.Authorize == nil {
		return nil
	}
	return s.server.Authorize(ctx, s.caller(), text)
}

func (s *session) caller() Caller {
	return Caller{
		ProcessID:       s.key.processID,
		Remote:          s.stall.RemoteAddr(),
		User:            s.user,
		Identity:        s.grant.Identity,
		ApplicationName: s.application,
	}
}
