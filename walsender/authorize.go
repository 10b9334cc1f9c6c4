package walsender

import (
	"context"
	"net"

	"go.uber.org/zap"
)

// Session is who asks, as [Server.Authorize] sees it.
type Session struct {
	ProcessID       uint32 // of BackendKeyData, and in the log
	Remote          net.Addr
	User            string // the role that the startup packet named
	ApplicationName string // what the client calls itself; empty if nothing
}

// authorize asks the server's owner whether the session may run a command.
func (s *session) authorize(ctx context.Context, text string) error {
	if s.server.Authorize == nil {
		return nil
	}
	err := s.server.Authorize(ctx, Session{
		ProcessID:       s.key.processID,
		Remote:          s.stall.RemoteAddr(),
		User:            s.user,
		ApplicationName: s.application,
	}, text)
	if err != nil {
		s.log.Info("command refused", zap.Error(err))
	}
	return err
}
