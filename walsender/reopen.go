package walsender

import (
	"context"
	"fmt"
)

// refresh is reopen, but for a session that has had part in a backup: it stays with the
// cluster of that backup until it takes part in another, for the WAL that it may still
// ask for is that cluster's (§3.9).
func (s *session) refresh(ctx context.Context) error {
	if s.member.last != nil {
		return nil
	}
	return s.reopen(ctx)
}

// reopen makes the session's cluster the one that is to be served now.
func (s *session) reopen(ctx context.Context) error {
	cluster, release, err := s.server.openCluster(ctx)
	switch {
	case err != nil:
		return err
	case release == nil: // there is but one
		s.cluster = cluster
		return nil
	}
	s.closeCluster()
	s.cluster, s.release = cluster, release
	return nil
}

// openCluster is the cluster that is to be served now, and how to let go of it; nil where
// there is nothing to let go of.
func (s *Server) openCluster(ctx context.Context) (Cluster, func(), error) {
	reopener, ok := s.Cluster.(Reopener)
	if !ok {
		return s.Cluster, nil, nil
	}
	opened, release, err := reopener.Reopen(ctx)
	if err != nil {
		return nil, nil, err
	}
	cluster, ok := opened.(Cluster)
	if !ok {
		release()
		return nil, nil, fmt.Errorf("the cluster was opened anew as %T, which is none", opened)
	}
	return cluster, release, nil
}

// closeCluster lets go of the session's cluster.
func (s *session) closeCluster() {
	if s.release != nil {
		s.release()
	}
	s.release = nil
}
