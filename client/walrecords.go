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
// primary, the record that ends the backup (§5.12).
func (b *backup) checkRecords(r *walrecord.Run) error {
	stop := b.stopped.StopPtr
	switch checkpoint := r.Checkpoint; {
	case r.Err() != nil && (r.End() < stop || stop == 0 && checkpoint.Start == 0):
		return notOfBackup("%w", r.Err())
	case r.End() < stop:
		return notOfBackup("its records end at %v, before the end of the backup at %v", r.End(), stop)
	case checkpoint.Start == 0:
		return notOfBackup("it has no checkpoint that begins at %v", b.stopped.StartPtr)
	}
	if b.stopped.Label == "" {
		return b.checkCheckpoint(r.Checkpoint)
	}
	label, err := protocol.ParseBackupLabel(b.stopped.Label)
	if err != nil {
		return err
	}
	if r.Checkpoint.Start != label.Checkpoint {
		return notOfBackup("the checkpoint that begins at %v is at %v, and the label has it at %v", label.StartPtr, r.Checkpoint.Start, label.Checkpoint)
	}
	if end := r.BackupEnd; label.Method == "streamed" && label.From != "standby" && (end.Start == 0 || end.End > stop) {
		return notOfBackup("there is no record before %v that ends the backup which started at %v", stop, label.StartPtr)
	}
	return nil
}

// checkCheckpoint holds the checkpoint against pg_control, where a server without a label
// looks for it.
func (b *backup) checkCheckpoint(checkpoint walrecord.Record) error {
	content, err := b.out.ControlFile()
	if err != nil {
		return err
	}
	control, err := controlfile.DecodeForeign(content)
	at := control.Checkpoint
	switch {
	case err != nil:
		return err
	case at != checkpoint.Start:
		return notOfBackup("the checkpoint that begins at %v is at %v, and %s has it at %v", b.stopped.StartPtr, checkpoint.Start, output.ControlFile, at)
	case b.stopped.StopPtr != 0 && !checkpoint.IsShutdown():
		return notOfBackup("the checkpoint at %v is not the one of a shutdown", at)
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
	all := w.runs[w.first]
	if all == nil {
		return walrecord.NewRun(w.source, w.first, w.start)
	}
	for {
		next := w.runs[all.Next()]
		if next == nil || next == all || all.Join(next) != nil {
			return all
		}
	}
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
