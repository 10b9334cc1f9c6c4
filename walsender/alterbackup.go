package walsender

import (
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// alterBackup answers ALTER_BACKUP (§8.2).
func (s *session) alterBackup(c grammar.AlterBackup) error {
	if err := s.setRate(c); err != nil {
		return err
	}
	s.log.Info("rate of a backup changed", zap.String("of", protocol.ShortID(c.Backup)), zap.Int("max_rate", c.MaxRate))
	return s.complete("ALTER_BACKUP")
}

func (s *session) setRate(c grammar.AlterBackup) error {
	if c.Backup != "" {
		return s.server.Backups.SetRate(c.Backup, s.user, s.grant.Monitor, c.MaxRate)
	}
	b, err := s.member.requireBackup()
	if err != nil {
		return err
	}
	if !s.member.leads() {
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "this session does not lead the backup").
			WithHint("Name the backup by the first 8 characters of its id.")
	}
	b.SetRate(c.MaxRate)
	return nil
}
