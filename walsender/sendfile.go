package walsender

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// recoveryInterval is how often the standby check is made while a file is sent (§4.6).
const recoveryInterval = time.Second

// sendFile answers SEND_FILE (§4.6).
func (s *session) sendFile(ctx context.Context, c grammar.SendFile) error {
	if err := protocol.CheckPath(c.Path); err != nil {
		return err
	}
	if err := checkRange(c); err != nil {
		return err
	}
	if strings.HasPrefix(c.Path, "pg_wal/") {
		return s.sendCopy(ctx, c, &transfer{backup: s.member.last, wal: true})
	}
	b, err := s.member.requireBackup()
	if err != nil {
		return err
	}
	kind := sharedstate.DataFile
	if c.Path == "global/pg_control" {
		kind = sharedstate.ControlFile
	}
	end, err := b.BeginFile(kind)
	if err != nil {
		return err
	}
	defer end(false) // a cluster that panics must not keep the backup from being stopped
	err = s.sendWhileRunning(ctx, b, c)
	// Before ReadyForQuery: a client may count on it (§4.8).
	end(err == nil)
	if err != nil && b.Err() != nil && !isLost(err) {
		return s.member.noticeEnd()
	}
	return err
}

// sendWhileRunning sends the file as long as the backup lives: it is given up at once
// when the backup is aborted, also while the peer does not read (§3.5).
func (s *session) sendWhileRunning(ctx context.Context, b *sharedstate.Backup, c grammar.SendFile) error {
	running, end := s.underWay.ofBackup(ctx, s.stall, b)
	defer end()
	return s.sendCopy(running, c, &transfer{backup: b})
}

// transfer is a file on its way to the peer.
type transfer struct {
	backup  *sharedstate.Backup // whose rate holds; nil for WAL outside of one
	wal     bool
	file    fs.File
	checked time.Time // when the standby check was last made

	passing *passingDigest // of what is sent; nil for none
	length  int64          // how much of the file is asked for at most, in bytes (§8.3); 0: all of it
	read    int64          // how much of that was read
}

// sendCopy sends the file as one COPY.
func (s *session) sendCopy(ctx context.Context, c grammar.SendFile, t *transfer) error {
	if err := s.checkRecovery(ctx, t); err != nil {
		return err
	}
	options := protocol.OpenOptions{VerifyChecksums: !c.NoVerifyChecksums, Notice: s.notice}
	if t.backup != nil {
		options.StartPtr = t.backup.StartPtr
	}
	file, err := s.cluster.Open(ctx, c.Path, options)
	if err != nil {
		return fileError(c.Path, err)
	}
	defer file.Close()
	defer s.awaitReader()()
	t.file, t.length = file, c.Length
	if err := skip(file, c.Offset); err != nil {
		return fileError(c.Path, err)
	}
	if d, ok := s.descriptorOf(c, t); ok {
		return s.sendDescriptor(ctx, t, d)
	}
	if err := s.out.sendEncoded(copyOutResponse); err != nil {
		return err
	}
	if t.backup != nil && !t.wal && !c.IsRange() {
		t.passing = s.newPassingDigest(file, manifest.ChecksumCRC32C, c.NoVerifyChecksums)
	}
	err = s.sendContent(ctx, t)
	if verified, ok := file.(VerifiedFile); ok && t.backup != nil {
		t.backup.AddChecksumFailures(verified.ChecksumFailures())
	}
	if err != nil {
		return err
	}
	return s.out.sendEncoded(copyDone + sendFileComplete)
}

// sendContent sends the file's bytes. The buffer is a whole number of pages, so that the
// file can verify what it reads into it.
func (s *session) sendContent(ctx context.Context, t *transfer) error {
	s.frames = s.server.takeFrames(s.out)
	defer func() {
		s.server.frames.Put(s.frames)
		s.frames = nil
	}()
	buffer := s.frames.Buffer()
	for {
		n, err := io.ReadFull(t.file, t.within(buffer))
		t.passing.add(buffer[:n])
		if sendErr := s.sendPieces(ctx, t, n); sendErr != nil {
			return sendErr
		}
		if err != nil {
			t.passing.end(err)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && t.isRead(n) {
			return s.checkPiece(ctx, t)
		}
		if err != nil {
			return err
		}
	}
}

// takeFrames is a writer of frames that another session may have used before: only those
// that send a file have one.
func (s *Server) takeFrames(out *output) *wire.FrameWriter {
	if frames, ok := s.frames.Get().(*wire.FrameWriter); ok {
		frames.Reset(out)
		return frames
	}
	return wire.NewFrameWriter(out, wire.DefaultFrame)
}

// sendPieces sends the first n bytes of the frame buffer in frames that the rate
// allows without long pauses.
func (s *session) sendPieces(ctx context.Context, t *transfer, n int) error {
	for from, to := 0, 0; from < n; from = to {
		size := len(s.frames.Buffer())
		if t.backup != nil {
			size = t.backup.FrameSize(size) // the rate may have changed
		}
		to = min(from+size, n)
		if err := s.throttle(ctx, t, to-from); err != nil {
			return err
		}
		// After the sleep: what is checked is what is sent.
		if err := s.checkPiece(ctx, t); err != nil {
			return err
		}
		if err := s.writeFrame(t, from, to, n); err != nil {
			return err
		}
	}
	return nil
}

// throttle waits until the backup's rate allows n bytes. What was gathered goes out
// first: the peer would wait for it in vain.
func (s *session) throttle(ctx context.Context, t *transfer, n int) error {
	switch {
	case t.backup == nil:
		return nil
	case t.backup.HasRate():
		if err := s.out.flush(); err != nil {
			return err
		}
		began := time.Now()
		defer func() { s.slept += time.Since(began) }()
	}
	if t.wal {
		return t.backup.ThrottleWAL(ctx, n)
	}
	return t.backup.Throttle(ctx, n)
}

// checkPiece is what must hold before each frame and before CopyDone: the command
// is wanted, the file is still the one that was opened, and the cluster is what it
// was at the backup's start.
func (s *session) checkPiece(ctx context.Context, t *transfer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if checked, ok := t.file.(CheckedFile); ok {
		if err := checked.Check(); err != nil {
			return err
		}
	}
	if t.isExempt() || time.Since(t.checked) < recoveryInterval {
		return nil
	}
	return s.checkRecovery(ctx, t)
}

// isExempt reports whether the standby check has nothing to find.
func (t *transfer) isExempt() bool { return t.wal || !t.backup.InRecovery }

// checkRecovery is the standby check: a backup that began on a standby ends with
// its promotion. A primary does not become a standby while it runs.
func (s *session) checkRecovery(ctx context.Context, t *transfer) error {
	if t.isExempt() {
		return nil
	}
	inRecovery, err := s.cluster.InRecovery(ctx)
	if err != nil {
		return err
	}
	t.checked = time.Now()
	if !inRecovery {
		return StandbyPromoted()
	}
	return nil
}
