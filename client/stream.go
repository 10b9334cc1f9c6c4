package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// walStream receives the WAL of a backup while its files are copied, as pg_receivewal
// does. Its goroutine, which receive is, begins with start and ends when the stop
// position has arrived, or with the connection.
type walStream struct {
	conn        *conn
	slot        string // empty: none
	slotCreated bool   // by this backup, to stay
	segmentSize int64
	interval    time.Duration // between two reports; not above 0: none
	sink        sink
	folder      *target // where segments are renamed; nil: they go into an archive
	sync        bool
	checksums   protocol.ChecksumAlgorithm // for the manifest

	begun   bool
	done    chan struct{} // closed when the goroutine has ended
	err     error         // why it has; to be read after done
	segment *walSegment   // being written
	files   files         // that are complete: segments and histories

	mu       sync.Mutex // guards what follows, and what is sent while copying
	copying  bool
	finished bool         // the end of copying was asked for
	written  protocol.LSN // up to here all has arrived
	flushed  protocol.LSN // and up to here it is on disk
	stop     protocol.LSN // the position that ends the stream; 0: not known yet
}

// streamError says that the WAL does not arrive any more, which ends the backup.
type streamError struct{ err error }

// Error implements error.
func (e *streamError) Error() string {
	return "could not receive write-ahead log stream: " + e.err.Error()
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *streamError) Unwrap() error { return e.err }

// startStream starts to receive WAL from the segment on that the backup begins in.
func (b *backup) startStream(context.Context) error {
	s := b.stream
	if s == nil {
		return nil
	}
	for _, directory := range []string{"pg_wal", "pg_wal/archive_status"} {
		if err := b.ensureDirectory(directory); err != nil {
			return err
		}
	}
	if s.folder = b.target; b.archives != nil {
		s.folder = nil
		if err := b.archives.separateWAL(); err != nil {
			return err
		}
	}
	s.sink = b.newSink()
	b.events.tell(LevelVerbose, "starting to receive write-ahead log")
	s.begun = true
	go func() { // ends with the connection at the latest; stopStream waits for it
		defer close(s.done)
		if err := s.receive(b.started.StartPtr, b.started.Timeline); err != nil {
			s.err = &streamError{err}
			b.fail(s.err)
		}
	}()
	return nil
}

// copyStreamedWAL waits until the WAL has arrived up to the end of the backup, and
// makes sure that it is what the backup needs.
func (b *backup) copyStreamedWAL(ctx context.Context, need walNeed) error {
	b.events.tell(LevelVerbose, "waiting for write-ahead log to arrive up to %v", b.stopped.StopPtr)
	b.stream.stopAt(b.stopped.StopPtr)
	select {
	case <-b.stream.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if b.stream.err != nil {
		return b.stream.err
	}
	b.wal = &b.stream.files
	if err := need.checkWAL(b.wal); err != nil {
		return err
	}
	return b.markArchived()
}

// stopStream waits for the end of a stream whose connection is closed.
func (b *backup) stopStream() {
	if b.stream == nil {
		return
	}
	b.stream.conn.close()
	if b.stream.begun {
		<-b.stream.done
	}
}

// receive receives WAL from the beginning of the segment that holds start until the
// stop position, over all timelines that lie between them.
func (s *walStream) receive(start protocol.LSN, tli protocol.Timeline) error {
	defer s.reportRegularly()()
	defer s.sink.close()
	defer s.closeSegment()
	for {
		if tli > 1 {
			if err := s.receiveHistory(tli); err != nil {
				return err
			}
		}
		next, err := s.receiveTimeline(start-start%protocol.LSN(s.segmentSize), tli)
		if err != nil {
			return err
		}
		if next == (branch{}) {
			return s.sink.flush()
		}
		if next.timeline <= tli {
			return fmt.Errorf("server reported timeline %d as the next after %d", next.timeline, tli)
		}
		start, tli = next.begin, next.timeline
	}
}

// receiveHistory receives the history file of a timeline, without which the backup
// would not find its way to it.
func (s *walStream) receiveHistory(tli protocol.Timeline) error {
	h, err := row(s.conn, fmt.Sprintf("TIMELINE_HISTORY %d", tli), protocol.DecodeHistoryFile)
	if err != nil {
		return fmt.Errorf("could not receive the history of timeline %d: %w", tli, err)
	}
	if h.Name != protocol.HistoryFileName(tli) {
		return fmt.Errorf("server reported unexpected history file name for timeline %d: %q", tli, protocol.Shorten(h.Name, 64))
	}
	f := summed("pg_wal/"+h.Name, h.Content, time.Now().Unix(), s.checksums)
	e, err := s.sink.create(&f, f.path)
	if err != nil {
		return err
	}
	if _, err = e.write(h.Content); err == nil {
		err = e.finish(io.Discard)
	}
	if err != nil {
		e.discard() //nolint:errcheck // why it is not there is what there is to tell
		return err
	}
	s.files.add(f)
	return nil
}

// receiveTimeline receives WAL of a timeline from start on, and returns where the next
// one leaves it, or nothing if the stop position was reached.
func (s *walStream) receiveTimeline(start protocol.LSN, tli protocol.Timeline) (next branch, err error) {
	command := "START_REPLICATION "
	if s.slot != "" {
		command += "SLOT " + identifier(s.slot) + " "
	}
	if err := s.conn.ask(fmt.Sprintf("%sPHYSICAL %v TIMELINE %d", command, start, tli)); err != nil {
		return next, err
	}
	if err := s.conn.flush(); err != nil {
		return next, err
	}
	next, err = s.answer(start, tli)
	if s.reached() {
		next = branch{}
	} else if err == nil && next == (branch{}) {
		err = errors.New("server ended the stream")
	}
	if err != nil {
		return branch{}, err
	}
	// The rest of the last segment belongs to nobody, as that of one which the
	// next timeline goes on in.
	return next, s.finishSegment()
}

func (s *walStream) reached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished
}

// decodeNextTimeline reads the row that ends the stream of a timeline.
func decodeNextTimeline(r protocol.Row) (branch, error) {
	if len(r) < 2 {
		return branch{}, fmt.Errorf("row about the next timeline has %d columns, expected 2", len(r))
	}
	tli, err := strconv.ParseUint(string(r[0]), 10, 32)
	if err != nil {
		return branch{}, fmt.Errorf("invalid next timeline: %w", err)
	}
	begin, err := protocol.ParseLSN(string(r[1]))
	return branch{protocol.Timeline(tli), begin}, err
}
