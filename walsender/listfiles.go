package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
)

// listFiles answers LIST_FILES (§4.5).
func (s *session) listFiles(ctx context.Context, c grammar.ListFiles) error {
	return s.files(ctx, "LIST_FILES", "Files", s.cluster.Files(ctx, c.Tablespace, s.notice))
}
