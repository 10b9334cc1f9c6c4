package walsender

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// digestBuffer is how much of a file is read at once for its digest, in bytes: whole pages.
const digestBuffer = 256 << 10

// listDigests answers LIST_FILES CHECKSUM (§8.3). In a backup it ends with the backup, for a
// digest may take long.
func (s *session) listDigests(ctx context.Context, c grammar.ListFiles, algorithm manifest.ChecksumAlgorithm) error {
	b := s.member.backup
	if b != nil {
		running, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() { // ends with the backup, or with the command
			select {
			case <-b.Done():
				cancel(b.Err())
			case <-running.Done():
			}
		}()
		ctx = running
	}
	options := protocol.OpenOptions{VerifyChecksums: !c.NoVerifyChecksums, Notice: s.notice}
	if b != nil {
		options.StartPtr = b.StartPtr
	}
	files := s.withDigests(ctx, b, options, algorithm, s.cluster.Files(ctx, c.Tablespace, s.notice))
	bytes, err := s.files(ctx, "LIST_FILES", "Files", true, files)
	if err == nil {
		s.member.noteListed(c.Tablespace == "", bytes)
	}
	if err != nil && b != nil && b.Err() != nil && !isLost(err) {
		return s.member.noticeEnd()
	}
	return err
}

// withDigests is the listing with the digests of its files.
func (s *session) withDigests(ctx context.Context, b *sharedstate.Backup, o protocol.OpenOptions, algorithm manifest.ChecksumAlgorithm, files iter.Seq2[protocol.File, error]) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		for file, err := range files {
			if err == nil && hasDigest(file) && algorithm != manifest.ChecksumNone {
				failures := 0
				if file, failures, err = s.digest(ctx, file, o, algorithm); b != nil {
					b.AddChecksumFailures(failures)
				}
			}
			if !yield(file, err) {
				return
			}
		}
	}
}

// hasDigest reports whether a row of a listing comes with a digest. That of pg_control would
// be of no use: the file is sent in any case, at the end (§4.8).
func hasDigest(f protocol.File) bool {
	return f.Type == protocol.TypeFile && f.Path != "global/pg_control"
}

// digest reads a file for its digest, and counts its damaged pages. The row has the size of
// what was read. Where the file cannot be read there is no digest: SEND_FILE is to say why.
func (s *session) digest(ctx context.Context, row protocol.File, o protocol.OpenOptions, algorithm manifest.ChecksumAlgorithm) (_ protocol.File, failures int, err error) {
	file, err := s.cluster.Open(ctx, row.Path, o)
	if err != nil {
		return row, 0, context.Cause(ctx)
	}
	defer file.Close()
	sum, buffer, size := algorithm.New(), make([]byte, min((row.Size/pageSize+1)*pageSize, digestBuffer)), int64(0)
	for err == nil && ctx.Err() == nil {
		var n int
		n, err = io.ReadFull(file, buffer)
		sum.Write(buffer[:n])
		size += int64(n)
	}
	if verified, ok := file.(VerifiedFile); ok {
		failures = verified.ChecksumFailures()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		row.Size, row.Checksum = size, string(sum.Sum(nil))
	}
	return row, failures, context.Cause(ctx)
}
