package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// listFiles answers LIST_FILES (§4.5), and LIST_FILES CHECKSUM (§8.3).
func (s *session) listFiles(ctx context.Context, c grammar.ListFiles) error {
	if c.Checksum == "" {
		bytes, err := s.files(ctx, "LIST_FILES", "Files", false, s.cluster.Files(ctx, c.Tablespace, s.notice))
		if err == nil {
			s.member.noteListed(c.Tablespace == "", bytes)
		}
		return err
	}
	algorithm, err := manifest.ParseChecksumAlgorithm(c.Checksum)
	if err != nil {
		return protocol.Errorf(protocol.CodeInvalidParameterValue, "%v", err)
	}
	return s.listDigests(ctx, c, algorithm)
}
