package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
)

// identifySystem answers IDENTIFY_SYSTEM (§4.9).
func (s *session) identifySystem(ctx context.Context) error {
	system, err := s.cluster.Identify(ctx)
	if err == nil {
		err = impossible("Identify", checkSystem(system))
	}
	if err != nil {
		return err
	}
	settings, err := s.cluster.Settings(ctx)
	if err == nil {
		err = impossible("Settings", checkSettings(settings))
	}
	if err != nil {
		return err
	}
	return s.result("IDENTIFY_SYSTEM", protocol.SystemColumns(), system.Row(major(settings)))
}
