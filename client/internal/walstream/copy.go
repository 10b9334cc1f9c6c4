package walstream

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// The messages within the copy of START_REPLICATION, by their first byte (PostgreSQL,
// Streaming Replication Protocol).
const (
	xlogData      = 'w' // int64 start, int64 end of WAL, int64 time, WAL
	keepalive     = 'k' // int64 end of WAL, int64 time, byte reply requested
	standbyStatus = 'r' // int64 written, flushed, applied, time, byte reply requested

	xlogDataHeader  = 1 + 3*8
	keepaliveLength = 1 + 2*8 + 1
)

// answer reads the answer to START_REPLICATION to its end: CopyBothResponse and
// CopyData up to CopyDone of both sides, unless there is nothing to be had of the
// timeline; then where the next timeline begins, unless it was us who ended the copy.
func (s *Stream) answer(start protocol.LSN, tli protocol.Timeline) (next Branch, err error) {
	var refused *protocol.Error
	for {
		kind, body, err := s.conn.Next()
		if err != nil {
			return next, err
		}
		switch kind {
		case 'W':
			s.beginCopy(start)
		case 'd':
			err = s.data(body, tli)
		case 'c':
			s.endCopy()
		case 'T', 'C':
		case 'D':
			var m pgproto3.DataRow
			if err = m.Decode(body); err == nil {
				next, err = decodeNextTimeline(m.Values)
			}
		case 'E':
			refused, err = wire.DecodeError(body)
		case 'Z':
			if refused != nil {
				return Branch{}, refused
			}
			return next, nil
		default:
			err = wire.Unexpected(kind)
		}
		if err != nil {
			return Branch{}, err
		}
	}
}

func (s *Stream) beginCopy(start protocol.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copying, s.written = true, start
	s.flushed = max(s.flushed, start)
	s.report(false)
	s.finishIfReached()
}

// endCopy answers the server's CopyDone.
func (s *Stream) endCopy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.copying && !s.finished {
		s.send(copyDone)
	}
	s.copying = false
}

func (s *Stream) data(body []byte, tli protocol.Timeline) error {
	switch {
	case len(body) >= xlogDataHeader && body[0] == xlogData:
		begin := protocol.LSN(binary.BigEndian.Uint64(body[1:]))
		return s.wal(begin, body[xlogDataHeader:], tli)
	case len(body) >= keepaliveLength && body[0] == keepalive:
		if body[keepaliveLength-1] != 0 {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.report(false)
		}
		return nil
	}
	return protocol.Fatalf(protocol.CodeProtocolViolation, "invalid message of %d bytes in the stream", len(body))
}

// wal takes WAL that has arrived. What comes after the stop position is of no use.
func (s *Stream) wal(begin protocol.LSN, data []byte, tli protocol.Timeline) error {
	s.mu.Lock()
	written, finished, copying := s.written, s.finished, s.copying
	s.mu.Unlock()
	switch {
	case finished:
		return nil
	case !copying:
		return wire.Unexpected('d')
	case begin != written:
		return fmt.Errorf("got write-ahead log from %v on, expected %v", begin, written)
	}
	if err := s.check(begin, data); err != nil {
		return err
	}
	flushed, err := s.write(begin, data, tli)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += protocol.LSN(len(data))
	s.flushed = max(s.flushed, flushed)
	s.finishIfReached()
	return nil
}

// check reads the records of WAL that has arrived: what is wrong with it is known before
// the backup has gone on for hours. A timeline begins with what the one before has of its
// first segment, which is known already.
func (s *Stream) check(begin protocol.LSN, data []byte) error {
	r := s.records
	if known := r.Next(); known > begin {
		data = data[min(int64(known-begin), int64(len(data))):]
	}
	_, _ = r.Write(data) // Err says it, too
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != 0 && r.End() >= s.stop {
		return nil // what comes behind the end is of no interest
	}
	return r.Err()
}

// stopAt tells where the stream ends, which may be behind it already.
func (s *Stream) stopAt(stop protocol.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = stop
	s.finishIfReached()
}

// finishIfReached ends the copy where the stop position has arrived. The caller holds
// the lock, as for all that follow.
func (s *Stream) finishIfReached() {
	if s.copying && !s.finished && s.stop != 0 && s.written >= s.stop {
		s.report(false)
		s.finished = true
		s.send(copyDone)
	}
}

var copyDone = []byte{'c', 0, 0, 0, 4}

// report tells the server what has arrived; with reply it has to answer. A slot is moved
// by what is on disk, from the beginning on: one that has reserved nothing protects no WAL
// before. But who reports that may become a synchronous standby, which commits wait for.
// So it is taken back in the same breath, and moves no slot that has reserved WAL where
// the server waits for standbys (§5.13).
func (s *Stream) report(reply bool) {
	if !s.copying || s.finished {
		return
	}
	var messages []byte
	if needed := !s.reserved && s.kept == 0; s.slot != "" && s.flushed > s.kept && (needed || !s.synchronous) {
		messages = s.status(messages, s.flushed, false)
		s.kept = s.flushed
	}
	s.send(s.status(messages, 0, reply))
}

// status appends a status report.
func (s *Stream) status(to []byte, flushed protocol.LSN, reply bool) []byte {
	to = append(to, 'd', 0, 0, 0, 4+1+4*8+1, standbyStatus)
	for _, position := range []protocol.LSN{s.written, flushed, 0} {
		to = binary.BigEndian.AppendUint64(to, uint64(position))
	}
	to = binary.BigEndian.AppendUint64(to, uint64(time.Since(postgresEpoch).Microseconds()))
	if reply {
		return append(to, 1)
	}
	return append(to, 0)
}

// postgresEpoch is where PostgreSQL's time begins.
var postgresEpoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// send sends a message. Where that fails the connection is lost, and the reader, who
// may be another goroutine, finds out why.
func (s *Stream) send(message []byte) {
	_ = s.conn.Send(message) // see above
}

// reportRegularly starts the goroutine that reports at intervals. It ends when the
// returned function is called, which returns after it. Where a server must not be
// silent for long, it is asked to answer.
func (s *Stream) reportRegularly() (stop func()) {
	interval, timeout := s.config.StatusInterval, s.config.Timeout
	if timeout > 0 && (interval <= 0 || interval > timeout/2) {
		interval = timeout / 2
	}
	if interval <= 0 {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.mu.Lock()
				s.report(timeout > 0)
				s.mu.Unlock()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
