package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/protocol"
)

// Sessions is how many sessions there are now that were let in.
func (s *Server) Sessions() int {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// Ready returns the error that START_BACKUP would be answered with now, as far as the
// cluster can tell without a checkpoint ([BackupChecker]); 57P03 where the server is shut
// down. A table that is full is no such error: the place of a backup becomes free again.
func (s *Server) Ready(ctx context.Context) error {
	s.init()
	if s.ctx.Err() != nil || s.isClosed() {
		return protocol.Errorf(protocol.CodeCannotConnectNow, "the server is shutting down")
	}
	cluster, release, err := s.openCluster(ctx)
	if err != nil {
		return err
	}
	if release != nil {
		defer release()
	}
	if checker, ok := cluster.(BackupChecker); ok {
		return checker.CheckBackup(ctx)
	}
	_, err = cluster.Settings(ctx)
	return err
}
