package walrecord

import (
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
)

// Backup is what recovery looks for in the WAL of a base backup.
type Backup struct {
	Start protocol.LSN // where a checkpoint begins (its redo position)
	Stop  protocol.LSN // up to where there have to be records; 0: not known
	// Checkpoint is where the record of that checkpoint starts, and Source the file that
	// says so, for the message; 0: not known.
	Checkpoint protocol.LSN
	Source     string
	// Ends says that a record ends the backup, at Stop at the latest, as in the backup of
	// a primary that runs.
	Ends bool
}

// Check reports what is missing in a run whose records count from b.Start on. It is the
// *[Error] of the run where that hides what is needed.
func (r *Run) Check(b Backup) error {
	if err := r.Reach(b.Stop); err != nil {
		return err
	}
	switch checkpoint, end := r.Checkpoint, r.BackupEnd; {
	case checkpoint.Start == 0 && b.Stop == 0 && r.err != nil:
		return r.err
	case checkpoint.Start == 0:
		return fmt.Errorf("it has no checkpoint that begins at %v", b.Start)
	case b.Checkpoint != 0 && checkpoint.Start != b.Checkpoint:
		return fmt.Errorf("the checkpoint that begins at %v is at %v, and %s has it at %v", b.Start, checkpoint.Start, b.Source, b.Checkpoint)
	case b.Ends && (end.Start == 0 || end.End > b.Stop):
		return fmt.Errorf("there is no record before %v that ends the backup which started at %v", b.Stop, b.Start)
	}
	return nil
}

// Reach reports why the records of a run do not lead to a position, as Check does.
func (r *Run) Reach(stop protocol.LSN) error {
	switch {
	case r.end >= stop:
		return nil
	case r.err != nil:
		return r.err
	}
	return fmt.Errorf("its records end at %v, before the end of the backup at %v", r.end, stop)
}

// JoinAll joins runs, which are found by where they begin, from the one at begin on, as far
// as they lie in a row and are valid. It is nil where none begins there. The runs are of no
// use afterwards.
func JoinAll(runs map[protocol.LSN]*Run, begin protocol.LSN) *Run {
	all := runs[begin]
	if all == nil {
		return nil
	}
	for {
		next := runs[all.Next()]
		if next == nil || next == all || all.Join(next) != nil {
			return all
		}
	}
}
