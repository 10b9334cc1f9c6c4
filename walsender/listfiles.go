package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
)

// listFiles answers LIST_FILES (§4.5).
func (s *session) listFiles(ctx context.Context, c grammar.ListFiles) error {
	bytes, err := s.files(ctx, "LIST_FILES", "Files", s.cluster.Files(ctx, c.Tablespace, s.notice))
	if err == nil {
		s.member.noteListed(c.Tablespace == "", bytes)
	}
	return err
}
