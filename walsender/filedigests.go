package walsender

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// maxDigestBlock is the largest block that has a digest, in bytes (§8.3).
const maxDigestBlock = 1 << 20

// fileDigests answers FILE_DIGESTS (§8.3).
func (s *session) fileDigests(ctx context.Context, c grammar.FileDigests) error {
	algorithm, err := checkDigests(c)
	if err != nil {
		return err
	}
	if s.member.isOutside() {
		return s.sendDigests(ctx, nil, c, algorithm)
	}
	b, err := s.member.requireBackup()
	if err != nil {
		return err
	}
	running, end := s.underWay.ofBackup(ctx, s.stall, b)
	defer end()
	err = s.sendDigests(running, b, c, algorithm)
	if err != nil && b.Err() != nil && !isLost(err) {
		return s.member.noticeEnd()
	}
	return err
}

// checkDigests refuses what has no digests.
func checkDigests(c grammar.FileDigests) (manifest.ChecksumAlgorithm, error) {
	if err := protocol.CheckPath(c.Path); err != nil {
		return 0, err
	}
	algorithm, err := parseAlgorithm(c.Checksum)
	switch {
	case err != nil:
		return 0, err
	case algorithm == manifest.ChecksumNone:
		return 0, protocol.Errorf(protocol.CodeInvalidParameterValue, "there are no digests by the algorithm %s", algorithm)
	case c.Block%pageSize != 0 || c.Block > maxDigestBlock:
		return 0, protocol.Errorf(protocol.CodeInvalidParameterValue, "BLOCK must be a multiple of %d, %d at most", pageSize, maxDigestBlock)
	case c.Path == controlFile || strings.HasPrefix(c.Path, "pg_wal/"):
		return 0, protocol.Errorf(protocol.CodeInvalidParameterValue, `"%s" has no digests`, c.Path)
	}
	return algorithm, nil
}

// sendDigests sends the digests of a file as one COPY. b is nil outside of a backup.
func (s *session) sendDigests(ctx context.Context, b *sharedstate.Backup, c grammar.FileDigests, algorithm manifest.ChecksumAlgorithm) error {
	if b != nil {
		if err := s.checkRecovery(ctx, &transfer{backup: b}); err != nil {
			return err
		}
	}
	d := s.newDigester(b, algorithm, c.Block, c.NoVerifyChecksums)
	r := &digested{done: make(chan struct{})}
	file, err := d.open(ctx, c.Path, r)
	if err != nil {
		return err
	}
	defer file.Close()
	if known, ok := d.cached(versionOf(file)); ok {
		r = known
	} else {
		go func() { // ends soon after ctx has
			defer r.finish()
			d.compute(ctx, file, r)
		}()
		defer func() { <-r.done }() // before the file is closed
	}
	said := time.Now()
	if err := s.awaitDigest(ctx, b, r, &said); err != nil {
		return err
	}
	if r.err != nil {
		return r.err
	}
	return s.sendCopyOf("FILE_DIGESTS", []byte(r.digest))
}

// sendCopyOf sends bytes as one COPY.
func (s *session) sendCopyOf(tag string, content []byte) error {
	if err := s.out.send(&pgproto3.CopyOutResponse{}); err != nil {
		return err
	}
	for len(content) > 0 {
		n := min(len(content), wire.DefaultFrame)
		if err := s.out.send(&pgproto3.CopyData{Data: content[:n]}); err != nil {
			return err
		}
		content = content[n:]
	}
	if err := s.out.send(&pgproto3.CopyDone{}); err != nil {
		return err
	}
	return s.complete(tag)
}
