package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// listTablespaces answers LIST_TABLESPACES (§4.4).
func (s *session) listTablespaces(ctx context.Context, c grammar.ListTablespaces) error {
	tablespaces, err := s.cluster.Tablespaces(ctx, c.Progress)
	if err == nil {
		err = impossible.Tablespaces(tablespaces)
	}
	if err != nil {
		return err
	}
	rows := make([]protocol.Row, len(tablespaces))
	var size int64
	for i, t := range tablespaces {
		rows[i] = t.Row()
		size += t.Size * 1024
	}
	if c.Progress {
		s.member.noteSize(size)
	}
	return s.result("LIST_TABLESPACES", protocol.TablespaceColumns(), rows...)
}
