package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// startBackup answers START_BACKUP (§4.1). The session leads the backup from the
// moment it has its place in the table: whatever happens while the checkpoint is
// awaited, the end of the session aborts it.
func (s *session) startBackup(ctx context.Context, c grammar.StartBackup) error {
	if err := s.member.requireIdle(); err != nil {
		return err
	}
	if err := s.reopen(ctx); err != nil {
		return err
	}
	b, err := s.server.Backups.Start(sharedstate.Request{
		Owner:     s.user,
		Label:     c.Label,
		Directory: s.cluster.Directory(),
		MaxRate:   c.MaxRate,
	})
	if err != nil {
		return err
	}
	s.lead(b)
	start, err := s.enterBackupMode(ctx, b, c)
	if err != nil {
		s.member.leave(err)
		return err
	}
	row := protocol.BackupStart{StartPoint: start, ID: b.ID}
	return s.result("START_BACKUP", protocol.BackupStartColumns(), row.Row())
}

// lead makes the session the leader of the backup. It ends the session where the peer
// has already closed its side (§3.5).
func (s *session) lead(b *sharedstate.Backup) {
	s.member.enter(b, leading)
	s.mu.Lock()
	deserted := s.silent
	s.mu.Unlock()
	if deserted {
		s.end(peer.ErrGone)
	}
}

func (s *session) enterBackupMode(ctx context.Context, b *sharedstate.Backup, c grammar.StartBackup) (protocol.StartPoint, error) {
	start, led, err := s.cluster.StartBackup(ctx, protocol.BackupRequest{
		Label:  c.Label,
		Fast:   c.Fast,
		Notice: s.noticeNow,
	})
	if err != nil {
		return start, err
	}
	s.member.watch(led)
	if err := impossible.Start(start); err != nil {
		return start, err
	}
	inRecovery, err := s.cluster.InRecovery(ctx)
	if err != nil {
		return start, err
	}
	return start, b.Started(start, inRecovery)
}

// noticeNow passes a notice on at once: what a cluster says while it is waited for
// is of no use later.
func (s *session) noticeNow(n *protocol.Error) {
	s.notice(n)
	_ = s.out.flush() // as in notice
}
