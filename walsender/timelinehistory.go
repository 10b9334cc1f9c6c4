package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// timelineHistory answers TIMELINE_HISTORY (§4.9).
func (s *session) timelineHistory(ctx context.Context, c grammar.TimelineHistory) error {
	historian, ok := s.server.Cluster.(Historian)
	if !ok {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no timeline history files")
	}
	history, err := historian.TimelineHistory(ctx, protocol.Timeline(c.Timeline))
	if err != nil {
		return err
	}
	return s.result("TIMELINE_HISTORY", protocol.HistoryFileColumns(), history.Row())
}
