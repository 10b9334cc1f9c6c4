package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// stopBackup answers STOP_BACKUP (§4.3, §3.7). Once the table has accepted it the
// backup is over, well or not.
func (s *session) stopBackup(ctx context.Context, c grammar.StopBackup) error {
	b, err := s.member.requireBackup()
	if err != nil {
		return err
	}
	if !s.member.leads() {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "only the session that started the backup can stop it")
	}
	// First: after a promotion nobody can send the pg_control that the table asks for.
	if err := s.checkRecovery(ctx, &transfer{backup: b}); err != nil {
		return err
	}
	if err := b.Stop(); err != nil {
		return err
	}
	stop, err := s.member.led.Stop(ctx, !c.NoWait, s.noticeNow)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.member.leave(err)
		return abortedBy(err, b)
	}
	failures := b.Counters().ChecksumFailures
	b.End()
	s.member.becomeIdle()
	s.backupEnded(b, nil)
	if err := s.result("STOP_BACKUP", protocol.BackupStopColumns(), stop.Row()); err != nil {
		return err
	}
	return s.reportChecksumFailures(failures)
}

// reportChecksumFailures follows the result: libpq would drop the row if the error
// came before CommandComplete.
func (s *session) reportChecksumFailures(failures int64) error {
	if failures == 0 {
		return nil
	}
	if err := s.out.send(wire.NoticeResponse(protocol.Warningf("%d total checksum verification failures", failures))); err != nil {
		return err
	}
	return protocol.Errorf(protocol.CodeDataCorrupted, "checksum verification failure during base backup")
}
