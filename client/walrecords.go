package client

import (
	"fmt"
	"io"
	"sync"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/walstream"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// checkRecords makes sure that the copy will find in its WAL what it needs: the checkpoint
// that it begins with, records in a row up to its end, and, where its label is that of a
// primary, the record that ends the backup (§5.12). Where a server without a label looks for
// the checkpoint, pg_control says.
func (b *backup) checkRecords(r *walrecord.Run) error {
	need := walrecord.Backup{Start: b.stopped.StartPtr, Stop: b.stopped.StopPtr}
	if b.stopped.Label == "" {
		content, err := b.out.ControlFile()
		if err != nil {
			return err
		}
		control, err := controlfile.DecodeForeign(content)
		if err != nil {
			return err
		}
		need.Checkpoint, need.Source = control.Checkpoint, output.ControlFile
	} else {
		label, err := protocol.ParseBackupLabel(b.stopped.Label)
		if err != nil {
			return err
		}
		need.Checkpoint, need.Source = label.Checkpoint, "the label"
		need.Ends = label.Method == "streamed" && label.From != "standby"
	}
	if err := r.Check(need); err != nil {
		return notOfBackup("%w", err)
	}
	if b.stopped.Label == "" && need.Stop != 0 && !r.Checkpoint.IsShutdown() {
		return notOfBackup("the checkpoint at %v is not the one of a shutdown", need.Checkpoint)
	}
	return nil
}

// notOfBackup is the failure of a backup whose WAL is another's, or damaged.
func notOfBackup(format string, args ...any) error {
	return fmt.Errorf("write-ahead log is not that of the backup: "+format, args...)
}

// walRecords are the records of segments that are fetched, side by side and in any order.
type walRecords struct {
	source walrecord.Source
	start  protocol.LSN
	first  protocol.LSN            // where the first segment begins
	needed map[string]protocol.LSN // where a segment begins that is looked at, by its path

	mu   sync.Mutex
	runs map[protocol.LSN]*walrecord.Run // of those that have arrived
}

// newWALRecords is for the segments of a list that a recovery would read.
func newWALRecords(source walrecord.Source, need walstream.Need, list *output.Files) (*walRecords, error) {
	needed, err := need.Segments(list)
	if err != nil {
		return nil, err
	}
	if need.Stop != 0 {
		source.Timeline = func(at protocol.LSN) protocol.Timeline { return need.History.At(at + 1) }
	}
	return &walRecords{
		source: source, start: need.Start, first: need.Start - need.Start%protocol.LSN(need.SegmentSize),
		needed: needed, runs: map[protocol.LSN]*walrecord.Run{},
	}, nil
}

// join is the run of all.
func (w *walRecords) join() *walrecord.Run {
	if all := walrecord.JoinAll(w.runs, w.first); all != nil {
		return all
	}
	return walrecord.NewRun(w.source, w.first, w.start)
}

// recordSink is a sink that reads the records of the segments which go into another.
type recordSink struct {
	output.Sink
	records *walRecords
}

func (s *recordSink) Create(f *output.File, name string) (output.Entry, error) {
	e, err := s.Sink.Create(f, name)
	begin, needed := s.records.needed[f.Path]
	if err != nil || !needed {
		return e, err
	}
	w := s.records
	return &recordEntry{Entry: e, records: w, begin: begin, run: walrecord.NewRun(w.source, begin, w.start)}, nil
}

// recordEntry is a segment on its way.
type recordEntry struct {
	output.Entry
	records *walRecords
	begin   protocol.LSN
	run     *walrecord.Run
}

func (e *recordEntry) Add(data []byte) ([]byte, error) {
	_, _ = e.run.Write(data) // whether it matters shows when all is there
	return e.Entry.Add(data)
}

func (e *recordEntry) Finish(sum io.Writer) error {
	if err := e.Entry.Finish(sum); err != nil {
		return err
	}
	e.records.mu.Lock()
	defer e.records.mu.Unlock()
	e.records.runs[e.begin] = e.run
	return nil
}
