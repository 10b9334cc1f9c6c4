package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// identifySystem answers IDENTIFY_SYSTEM (§4.9).
func (s *session) identifySystem(ctx context.Context) error {
	system, err := s.cluster.Identify(ctx)
	if err == nil {
		err = impossible.System(system)
	}
	if err != nil {
		return err
	}
	settings, err := s.cluster.Settings(ctx)
	if err == nil {
		err = impossible.Settings(settings)
	}
	if err != nil {
		return err
	}
	return s.result("IDENTIFY_SYSTEM", protocol.SystemColumns(), system.Row(major(settings)))
}
