package walsender

import (
	"context"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// listFiles answers LIST_FILES (§4.5), and LIST_FILES CHECKSUM (§8.3).
func (s *session) listFiles(ctx context.Context, c grammar.ListFiles) (err error) {
	bytes := int64(0)
	if c.Checksum == "" {
		bytes, err = s.files(ctx, "LIST_FILES", "Files", false, s.cluster.Files(ctx, c.Tablespace, s.notice))
	} else {
		bytes, err = s.listDigests(ctx, c)
	}
	if err == nil {
		s.member.noteListed(c.Tablespace == "", bytes)
	}
	return err
}

// listDigests lists files with their digests. In a backup it ends with the backup.
func (s *session) listDigests(ctx context.Context, c grammar.ListFiles) (bytes int64, err error) {
	algorithm, err := parseAlgorithm(c.Checksum)
	if err != nil {
		return 0, err
	}
	b := s.member.backup
	during, end := duringBackup(ctx, b)
	defer end()
	files := s.cluster.Files(during, c.Tablespace, s.notice)
	if algorithm != manifest.ChecksumNone {
		files = s.withDigests(during, b, s.newDigester(b, algorithm, 0, c.NoVerifyChecksums), files)
	}
	bytes, err = s.files(during, "LIST_FILES", "Files", true, files)
	if err != nil && b != nil && b.Err() != nil && !isLost(err) {
		err = s.member.noticeEnd()
	}
	return bytes, err
}

func parseAlgorithm(name string) (manifest.ChecksumAlgorithm, error) {
	algorithm, err := manifest.ParseDigestAlgorithm(name)
	if err != nil {
		return 0, protocol.Errorf(protocol.CodeInvalidParameterValue, "%v", err)
	}
	return algorithm, nil
}
