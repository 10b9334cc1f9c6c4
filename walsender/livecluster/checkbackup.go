package livecluster

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
)

// CheckBackup returns the error that StartBackup would return now, as far as it can be known
// without a checkpoint: no server that can be reached, or another directory's; a directory
// that is missing ([datadir.Dir.CheckDirectories]); a right that the role lacks; too low a wal_level; a standby whose WAL was written without
// full_page_writes (walsender.BackupChecker).
func (c *Cluster) CheckBackup(ctx context.Context) error {
	s, found, err := c.connect(ctx)
	if err != nil {
		return c.answer(ctx, err)
	}
	defer s.close()
	return c.answer(ctx, c.checkBackup(ctx, s, found))
}

func (c *Cluster) checkBackup(ctx context.Context, s *sqlSession, found server) error {
	if err := c.CheckPath(); err != nil {
		return err
	}
	if err := c.CheckDirectories(); err != nil {
		return err
	}
	if _, err := c.MarkTablespaces(); err != nil {
		return err
	}
	if err := s.checkRights(ctx, dialectOf(found.versionNum)); err != nil {
		return err
	}
	if found.inRecovery {
		return s.checkFullPages(ctx)
	}
	return s.checkWALLevel(ctx)
}

// checkWALLevel refuses a primary whose WAL does not hold what a backup needs (xlog.c,
// do_pg_backup_start).
func (s *sqlSession) checkWALLevel(ctx context.Context) error {
	row, err := s.row(ctx, "SELECT current_setting('wal_level')")
	if err != nil || row[0] != "minimal" {
		return err
	}
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "cannot back up the running cluster: its wal_level is %q", row[0]).
		WithHint("Set wal_level to \"replica\" or higher and restart the server.")
}

// checkFullPages refuses a standby whose last restartpoint is in WAL without whole pages
// (do_pg_backup_start): the files that are copied while they are written could not be
// mended. A role that may not ask learns of it by START_BACKUP.
func (s *sqlSession) checkFullPages(ctx context.Context) error {
	row, err := s.row(ctx, "SELECT full_page_writes FROM pg_control_checkpoint()")
	if isCode(err, protocol.CodeInsufficientPrivilege) {
		return nil
	}
	if err != nil || row[0] != "f" {
		return err
	}
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "cannot back up the standby: its WAL was written with full_page_writes off").
		WithHint("Set full_page_writes to on at the primary, run CHECKPOINT there, and try again when the standby has replayed that.")
}
