package walsender

import (
	"context"
	"strconv"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// show answers SHOW (§4.9).
func (s *session) show(ctx context.Context, c grammar.Show) error {
	if checker, ok := s.cluster.(BackupChecker); ok && c.Name == protocol.ParameterCheck {
		if err := checker.CheckBackup(ctx); err != nil {
			return err
		}
		return s.result("SHOW", protocol.SettingColumns(c.Name), protocol.Row{[]byte("ok")})
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
