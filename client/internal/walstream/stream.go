package walstream

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

// Config says how to receive WAL.
type Config struct {
	Slot           string        // the replication slot; empty: a temporary one, or none
	CreateSlot     bool          // Slot does not exist yet
	NoSlot         bool          // use no slot
	StatusInterval time.Duration // between two reports of what has arrived; not above 0: only when the server asks
	Timeout        time.Duration // that the connection was opened with, see [wire.Config]
	Source         walrecord.Source
	Checksums      manifest.ChecksumAlgorithm // for history files
	Log            output.Log
}

// Stream receives the WAL of a backup while its files are copied, as pg_receivewal does.
// Its methods are for one goroutine. The goroutine of the stream itself begins with Start,
// and ends when the stop position has arrived, or with the connection.
type Stream struct {
	config      Config
	conn        *wire.Conn
	slot        string // empty: none
	slotCreated bool   // by this backup, to stay
	reserved    bool   // the slot has reserved WAL when it was created
	synchronous bool   // the server waits for standbys: a slot is moved no more than it must
	sink        output.Sink

	begun    bool
	done     chan struct{} // closed when the goroutine has ended
	err      error         // why it has; to be read after done
	segment  *segment      // being written
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

// WAL is what a stream has received.
type WAL struct {
	Files   *output.Files  // segments and history files
	Records *walrecord.Run // what the segments hold
}

// Error says that the WAL does not arrive any more.
type Error struct{ err error }

func (e *Error) Error() string { return "could not receive write-ahead log stream: " + e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

// Open takes over a connection, and makes sure that it leads to the cluster of which
// o.Source is. On failure the connection is closed.
func Open(c *wire.Conn, o Config) (*Stream, error) {
	s := &Stream{config: o, conn: c, slot: o.Slot, done: make(chan struct{})}
	if err := s.identify(0); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// Reserve has the server keep its WAL from the last checkpoint on, by the slot, and makes
// sure that the server has WAL up to start. It is called when the backup has started:
// until the slot is there, nothing may keep the segment of the start. Start has to follow
// at once, for a slot that nobody uses may be taken away.
func (s *Stream) Reserve(start protocol.LSN) error {
	if err := s.createSlot(); err != nil {
		return err
	}
	return s.identify(start)
}

// Start begins to receive WAL into the sink, from the segment on that start, on a timeline,
// is in. Where the stream fails, failed is called with an [*Error], by the goroutine of
// the stream.
func (s *Stream) Start(sink output.Sink, start protocol.LSN, tli protocol.Timeline, failed func(error)) {
	begin := start - start%s.segmentSize()
	source := s.config.Source
	source.Timeline = func(protocol.LSN) protocol.Timeline { return s.timeline }
	s.records = walrecord.NewRun(source, begin, start)
	s.sink, s.begun = sink, true
	go func() { // ends with the connection at the latest; Close waits for it
		defer close(s.done)
		if err := s.receive(begin, tli); err != nil {
			s.err = &Error{s.explain(err)}
			failed(s.err)
		}
	}()
}

func (s *Stream) segmentSize() protocol.LSN { return protocol.LSN(s.config.Source.SegmentSize) }

// identify makes sure that the WAL comes from the cluster which the files come from, as
// far as that can be told before it is read: it has WAL up to start.
func (s *Stream) identify(start protocol.LSN) error {
	system, err := wire.Row(s.conn, grammar.IdentifySystem{}.String(), protocol.DecodeSystem)
	switch {
	case err != nil:
		return fmt.Errorf("could not identify system: %w", err)
	case system.SystemID != s.config.Source.SystemID:
		return fmt.Errorf("the WAL comes from another system: its identifier is %d, not %d", system.SystemID, s.config.Source.SystemID)
	case system.XLogPos < start:
		return fmt.Errorf("the WAL comes from another server: it ends at %v, and the backup starts at %v", system.XLogPos, start)
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

// WaitFor ends the stream at the position stop, and waits until WAL has arrived up to
// there. It gives up when nothing has arrived for as long as patience: the server has had
// this WAL on disk when it said that the backup ends there.
func (s *Stream) WaitFor(ctx context.Context, stop protocol.LSN, patience time.Duration) (WAL, error) {
	s.config.Log.Verbose("waiting for write-ahead log to arrive up to %v", stop)
	s.stopAt(stop)
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for last, ended := s.arrived(), false; !ended; {
		select {
		case <-s.done:
			ended = true
		case <-ctx.Done():
			return WAL{}, context.Cause(ctx)
		case <-ticker.C:
			now := s.arrived()
			if now == last {
				return WAL{}, notArriving(now, stop, patience)
			}
			last = now
		}
	}
	return WAL{&s.files, s.records}, s.err
}

func notArriving(now, stop protocol.LSN, patience time.Duration) error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
		"server has sent no write-ahead log behind %v for %v, and the backup ends at %v", now, patience, stop).
		WithHint("The connection for write-ahead log must lead to the server whose files are copied.")
}

// Close closes the connection, and waits for the end of the stream's goroutine.
func (s *Stream) Close() {
	s.conn.Close()
	if s.begun {
		<-s.done
	}
}

// receive receives WAL from the beginning of the segment that holds start until the
// stop position, over all timelines that lie between them.
func (s *Stream) receive(start protocol.LSN, tli protocol.Timeline) error {
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
		next, err := s.receiveTimeline(start-start%s.segmentSize(), tli)
		if err != nil {
			return err
		}
		if next == (Branch{}) {
			return s.sink.Flush()
		}
		if next.Timeline <= tli {
			return fmt.Errorf("server reported timeline %d as the next after %d", next.Timeline, tli)
		}
		start, tli = next.Begin, next.Timeline
	}
}

// receiveHistory receives the history file of a timeline, without which the backup
// would not find its way to it.
func (s *Stream) receiveHistory(tli protocol.Timeline) error {
	h, err := wire.Row(s.conn, grammar.TimelineHistory{Timeline: tli}.String(), protocol.DecodeHistoryFile)
	if err != nil {
		return fmt.Errorf("could not receive the history of timeline %d: %w", tli, err)
	}
	if h.Name != protocol.HistoryFileName(tli) {
		return fmt.Errorf("server reported unexpected history file name for timeline %d: %q", tli, protocol.Shorten(h.Name, 64))
	}
	f := output.OwnFile("pg_wal/"+h.Name, h.Content, time.Now().Unix(), s.config.Checksums)
	e, err := s.sink.Create(&f, f.Path)
	if err != nil {
		return err
	}
	if _, err = e.Add(h.Content); err == nil {
		err = e.Finish(io.Discard)
	}
	if err != nil {
		_ = e.Discard() // why it is not there is what there is to tell
		return err
	}
	s.files.Add(f)
	return nil
}

// receiveTimeline receives WAL of a timeline from start on, and returns where the next
// one leaves it, or nothing if the stop position was reached.
func (s *Stream) receiveTimeline(start protocol.LSN, tli protocol.Timeline) (next Branch, err error) {
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
		next = Branch{}
	} else if err == nil && next == (Branch{}) {
		err = errors.New("server ended the stream")
	}
	if err != nil {
		return Branch{}, err
	}
	// The rest of this timeline's last segment holds no WAL of it: the next timeline
	// goes on in a file of its own.
	return next, s.finishSegment()
}

// arrived is the position up to which WAL has arrived.
func (s *Stream) arrived() protocol.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

func (s *Stream) reached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finished
}

// decodeNextTimeline reads the row that ends the stream of a timeline.
func decodeNextTimeline(r protocol.Row) (Branch, error) {
	if len(r) < 2 {
		return Branch{}, fmt.Errorf("row about the next timeline has %d columns, expected 2", len(r))
	}
	tli, err := strconv.ParseUint(string(r[0]), 10, 32)
	if err != nil {
		return Branch{}, fmt.Errorf("invalid next timeline: %w", err)
	}
	begin, err := protocol.ParseLSN(string(r[1]))
	return Branch{protocol.Timeline(tli), begin}, err
}
