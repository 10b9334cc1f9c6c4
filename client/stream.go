package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// walStream receives the WAL of a backup while its files are copied, as pg_receivewal
// does. Its goroutine, which receive is, begins with startStream and ends when the stop
// position has arrived, or with the connection.
type walStream struct {
	conn        *wire.Conn
	slot        string // empty: none
	slotCreated bool   // by this backup, to stay
	reserved    bool   // the slot has reserved WAL when it was created
	synchronous bool   // the server waits for standbys: a slot is moved no more than it must
	segmentSize int64
	interval    time.Duration // between two reports; not above 0: none
	timeout     time.Duration // see Options.Timeout
	sink        output.Sink
	checksums   manifest.ChecksumAlgorithm // for the manifest

	begun    bool
	done     chan struct{} // closed when the goroutine has ended
	err      error         // why it has; to be read after done
	segment  *walSegment   // being written
	files    output.Files  // that are complete: segments and histories
	timeline protocol.Timeline
	records  *walrecord.Run // what has arrived

	mu       sync.Mutex // guards what follows, and what is sent while copying
	copying  bool
	finished bool         // the end of copying was asked for
	written  protocol.LSN // up to here all has arrived
	flushed  protocol.LSN // and up to here it is on disk
	kept     protocol.LSN // from here on the slot keeps WAL, as far as it was told to
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

// openStream opens the connection that the WAL will come over, to the very walsender: one
// too many must be known before the checkpoint, and behind it the slot cannot wait for a
// connection to be made.
func (b *backup) openStream(ctx context.Context) error {
	if b.WAL.Method != WALStream {
		return nil
	}
	c, err := b.dialer.Another(ctx, ctx)
	if err != nil {
		return err
	}
	b.stream = &walStream{
		conn: c, slot: b.WAL.Slot, segmentSize: b.cluster.segmentSize, interval: b.WAL.StatusInterval, timeout: b.Timeout,
		checksums: b.Manifest.Checksums, done: make(chan struct{}),
	}
	return b.identifyStream()
}

// startStream starts to receive WAL from the segment on that the backup begins in, at
// once: until the slot is there, nothing may keep that segment, and a slot that nobody uses
// may be taken away.
func (b *backup) startStream(context.Context) error {
	s := b.stream
	if s == nil {
		return nil
	}
	if err := b.createSlot(); err != nil {
		return err
	}
	if err := b.identifyStream(); err != nil {
		return err
	}
	var err error
	if s.sink, err = b.out.WALSink(); err != nil {
		return err
	}
	begin := b.started.StartPtr - b.started.StartPtr%protocol.LSN(s.segmentSize)
	source := b.walSource()
	source.Timeline = func(protocol.LSN) protocol.Timeline { return s.timeline }
	s.records = walrecord.NewRun(source, begin, b.started.StartPtr)
	b.events.tell(LevelVerbose, "starting to receive write-ahead log")
	s.begun = true
	go func() { // ends with the connection at the latest; stopStream waits for it
		defer close(s.done)
		if err := s.receive(begin, b.started.Timeline); err != nil {
			s.err = &streamError{s.explain(err)}
			b.fail(s.err)
		}
	}()
	return nil
}

// identifyStream makes sure that the WAL comes from the cluster which the files come
// from, as far as that can be told before it is read.
func (b *backup) identifyStream() error {
	s := b.stream
	system, err := wire.Row(s.conn, grammar.IdentifySystem{}.String(), protocol.DecodeSystem)
	switch {
	case err != nil:
		return fmt.Errorf("could not identify system: %w", err)
	case system.SystemID != b.cluster.system.SystemID:
		return fmt.Errorf("the WAL comes from another system: its identifier is %d, not %d", system.SystemID, b.cluster.system.SystemID)
	case system.XLogPos < b.started.StartPtr:
		return fmt.Errorf("the WAL comes from another server: it ends at %v, and the backup starts at %v", system.XLogPos, b.started.StartPtr)
	}
	standbys, err := wire.Row(s.conn, grammar.Show{Name: "synchronous_standby_names"}.String(), func(r protocol.Row) (string, error) {
		if len(r) != 1 {
			return "", fmt.Errorf("result has %d columns, expected 1", len(r))
		}
		return string(r[0]), nil
	})
	if err != nil {
		return fmt.Errorf("could not determine server setting for synchronous_standby_names: %w", err)
	}
	s.synchronous = standbys != ""
	return nil
}

// defaultWALPatience is how long the server may send nothing of the WAL that it says the
// backup needs, which it has had on disk when it said so.
const defaultWALPatience = time.Minute

// copyStreamedWAL waits until the WAL has arrived up to the end of the backup, and
// makes sure that it is what the backup needs.
func (b *backup) copyStreamedWAL(ctx context.Context, need walNeed) error {
	b.events.tell(LevelVerbose, "waiting for write-ahead log to arrive up to %v", b.stopped.StopPtr)
	s := b.stream
	s.stopAt(b.stopped.StopPtr)
	ticker := time.NewTicker(b.walPatience)
	defer ticker.Stop()
	for last, ended := s.arrived(), false; !ended; {
		select {
		case <-s.done:
			ended = true
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			now := s.arrived()
			if now == last {
				return notArriving(now, b.stopped.StopPtr, b.walPatience)
			}
			last = now
		}
	}
	if s.err != nil {
		return s.err
	}
	b.wal = &s.files
	if err := need.checkWAL(b.wal); err != nil {
		return err
	}
	return b.finishWAL(s.records)
}

func notArriving(now, stop protocol.LSN, patience time.Duration) error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
		"server has sent no write-ahead log behind %v for %v, and the backup ends at %v", now, patience, stop).
		WithHint("The connection for write-ahead log must lead to the server whose files are copied.")
}

// stopStream waits for the end of a stream whose connection is closed.
func (b *backup) stopStream() {
	if b.stream == nil {
		return
	}
	b.stream.conn.Close()
	if b.stream.begun {
		<-b.stream.done
	}
}

// receive receives WAL from the beginning of the segment that holds start until the
// stop position, over all timelines that lie between them.
func (s *walStream) receive(start protocol.LSN, tli protocol.Timeline) error {
	defer s.reportRegularly()()
	defer s.sink.Close()
	defer s.closeSegment()
	for {
		if tli > 1 {
			if err := s.receiveHistory(tli); err != nil {
				return err
			}
		}
		s.timeline = tli
		next, err := s.receiveTimeline(start-start%protocol.LSN(s.segmentSize), tli)
		if err != nil {
			return err
		}
		if next == (branch{}) {
			return s.sink.Flush()
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
	h, err := wire.Row(s.conn, grammar.TimelineHistory{Timeline: tli}.String(), protocol.DecodeHistoryFile)
	if err != nil {
		return fmt.Errorf("could not receive the history of timeline %d: %w", tli, err)
	}
	if h.Name != protocol.HistoryFileName(tli) {
		return fmt.Errorf("server reported unexpected history file name for timeline %d: %q", tli, protocol.Shorten(h.Name, 64))
	}
	f := output.OwnFile("pg_wal/"+h.Name, h.Content, time.Now().Unix(), s.checksums)
	e, err := s.sink.Create(&f, f.Path)
	if err != nil {
		return err
	}
	if _, err = e.Add(h.Content); err == nil {
		err = e.Finish(io.Discard)
	}
	if err != nil {
		e.Discard() //nolint:errcheck // why it is not there is what there is to tell
		return err
	}
	s.files.Add(f)
	return nil
}

// receiveTimeline receives WAL of a timeline from start on, and returns where the next
// one leaves it, or nothing if the stop position was reached.
func (s *walStream) receiveTimeline(start protocol.LSN, tli protocol.Timeline) (next branch, err error) {
	command := "START_REPLICATION "
	if s.slot != "" {
		command += "SLOT " + identifier(s.slot) + " "
	}
	if err := s.conn.Ask(fmt.Sprintf("%sPHYSICAL %v TIMELINE %d", command, start, tli)); err != nil {
		return next, err
	}
	if err := s.conn.Flush(); err != nil {
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
	// The rest of this timeline's last segment holds no WAL of it: the next timeline
	// goes on in a file of its own.
	return next, s.finishSegment()
}

// arrived is the position up to which WAL has arrived.
func (s *walStream) arrived() protocol.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
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
