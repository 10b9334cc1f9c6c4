package walsender

import (
	"context"
	"errors"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/guesses"
)

// joinBackup answers JOIN_BACKUP (§4.2). The fifth wrong id ends the session, and further
// ones in other sessions of its address or role are answered late.
func (s *session) joinBackup(ctx context.Context, c grammar.JoinBackup) error {
	if err := s.member.requireIdle(); err != nil {
		return err
	}
	if err := s.reopen(ctx); err != nil {
		return err
	}
	b, err := s.server.Backups.Join(c.ID, s.user, s.cluster.Directory())
	if err != nil {
		return s.countWrongID(ctx, err)
	}
	s.member.enter(b, joined)
	return s.complete("JOIN_BACKUP")
}

func (s *session) countWrongID(ctx context.Context, err error) error {
	wrong, ok := errors.AsType[*protocol.Error](err)
	if !ok || wrong.Code != protocol.CodeUndefinedObject {
		return err
	}
	beyond := s.server.guesses.Count("id", s.startup.address, s.user) - guesses.MaxIDs
	s.server.holdBack(ctx, min(beyond, guesses.MaxIDDoublings+1)) // not for long: the session keeps its place
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.member.wrongIDs++
	if s.member.wrongIDs < guesses.MaxIDs {
		return err
	}
	fatal := *wrong
	fatal.Severity = protocol.SeverityFatal
	return &fatal
}
