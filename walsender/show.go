package walsender

import (
	"context"
	"strconv"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// show answers SHOW (§4.9).
func (s *session) show(ctx context.Context, c grammar.Show) error {
	if s.isCheck(c) {
		return s.checkBackup(ctx)
	}
	value, known := strconv.Itoa(s.server.maxWALSenders()), c.Name == "max_wal_senders"
	if !known {
		settings, err := s.cluster.Settings(ctx)
		if err != nil {
			return err
		}
		value, known = settings.Show(c.Name)
	}
	if !known {
		return protocol.Errorf(protocol.CodeUndefinedObject,
			"unrecognized configuration parameter %q", protocol.Shorten(c.Name, 64))
	}
	return s.result("SHOW", protocol.SettingColumns(c.Name), protocol.Row{[]byte(value)})
}

// isCheck reports whether a command asks if a backup could be started now. Nobody but this
// server can answer that.
func (s *session) isCheck(c grammar.Command) bool {
	show, ok := c.(grammar.Show)
	_, checks := s.cluster.(BackupChecker)
	return ok && checks && show.Name == protocol.ParameterCheck
}

// checkBackup answers such a command: with what START_BACKUP would be refused for by the
// cluster, or for want of a place in the table.
func (s *session) checkBackup(ctx context.Context) error {
	if err := s.server.Backups.CheckRoom(); err != nil {
		return err
	}
	if err := s.cluster.(BackupChecker).CheckBackup(ctx); err != nil {
		return err
	}
	return s.result("SHOW", protocol.SettingColumns(protocol.ParameterCheck), protocol.Row{[]byte("ok")})
}
