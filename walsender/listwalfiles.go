package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// listWALFiles answers LIST_WAL_FILES (§4.7). In a backup the list begins with the
// backup's start unless told otherwise.
func (s *session) listWALFiles(ctx context.Context, c grammar.ListWALFiles) error {
	lister, ok := s.cluster.(WALLister)
	if !ok {
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "this server has no write-ahead log to list")
	}
	start, end, err := s.walRange(c)
	if err != nil {
		return err
	}
	_, err = s.files(ctx, "LIST_WAL_FILES", "WALFiles", false, lister.WALFiles(ctx, start, end))
	return err
}

func (s *session) walRange(c grammar.ListWALFiles) (start, end protocol.LSN, err error) {
	if b := s.member.backup; b != nil {
		start = b.StartPtr
	}
	if c.Start.Given {
		start = c.Start.LSN
	}
	if c.End.Given && start > c.End.LSN {
		return 0, 0, protocol.Errorf(protocol.CodeInvalidParameterValue,
			"START_WAL_LOCATION %s is after END_WAL_LOCATION %s", start, c.End.LSN)
	}
	return start, c.End.LSN, nil
}
