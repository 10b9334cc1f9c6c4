package walsender

import (
	"context"
	"fmt"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// timelineHistory answers TIMELINE_HISTORY (§4.9).
func (s *session) timelineHistory(ctx context.Context, c grammar.TimelineHistory) error {
	historian, ok := s.cluster.(Historian)
	if !ok {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no timeline history files")
	}
	// As from PostgreSQL, the columns come even where the file is missing.
	if err := s.out.send(wire.RowDescription(protocol.HistoryFileColumns()...)); err != nil {
		return err
	}
	history, err := historian.TimelineHistory(ctx, c.Timeline)
	if err != nil {
		return fileError(fmt.Sprintf("pg_wal/%08X.history", uint32(c.Timeline)), err)
	}
	if err := s.out.send(wire.DataRow(history.Row())); err != nil {
		return err
	}
	return s.complete("TIMELINE_HISTORY")
}
