package sharedstate

import (
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// State is where a backup in the table stands. One that is over is in no state:
// it has left the table.
type State string

// The states, in their order. Abort leads out of each of them.
const (
	// Starting: START_BACKUP waits for its checkpoint. Left by Started.
	Starting State = "starting"
	// Running: sessions join and send files. Left by a Stop that is accepted.
	Running State = "running"
	// Stopping: STOP_BACKUP is at work in the cluster, nobody joins and no
	// file begins. Left by End.
	Stopping State = "stopping"
)

// Backup is a session's handle of a backup: the leader's from [Table.Start],
// everybody else's from [Table.Join]. The sessions of one process share the
// pointer. Its methods may be called from many goroutines at once, and only
// those that take a context block.
//
// The exported fields are read only. They are set once: StartPtr, Timeline and
// InRecovery by Started, so the leader may read them after that, and whoever has
// joined at any time; the others by Start.
type Backup struct {
	Request
	ID    string    // whole, a secret: 32 lower-case hexadecimal characters
	Began time.Time // when START_BACKUP took its place

	StartPtr   protocol.LSN
	Timeline   protocol.Timeline // of StartPtr
	InRecovery bool              // whether the cluster was a standby at the start

	table    *Table
	throttle *throttle
	counts   counts
	done     chan struct{}

	// Guarded by table.mu.
	state          State
	sending        int    // SEND_FILE commands at work
	sendingControl bool   // one of them, and then the only one, sends a ControlFile
	controlLast    bool   // a ControlFile was sent, and nothing has begun since
	over           string // how the backup ended, for Err; empty while it lives
}

// Started tells that the checkpoint is done: start is where it begins,
// inRecovery whether the cluster is a standby now. The backup is [Running] and can
// be joined. The error, 55000, says that the backup was aborted meanwhile, and
// must be left in the cluster too, or that it had started before.
func (b *Backup) Started(start protocol.StartPoint, inRecovery bool) error {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	switch {
	case b.over != "":
		return b.overError()
	case b.state != Starting:
		return b.refusef("backup %q has already started")
	}
	b.state = Running
	b.StartPtr, b.Timeline, b.InRecovery = start.StartPtr, start.Timeline, inRecovery
	return nil
}

// Stop asks to stop the backup (§3.7). Accepted, the backup is [Stopping]: no
// SEND_FILE is at work and none begins from here on. The caller stops the cluster's
// backup and then calls End, or Abort where that failed.
//
// While a SEND_FILE is at work the error is 55006. Where the backup began in recovery
// it is 55000 until a [ControlFile] is the last that was sent (§4.8). Both change
// nothing, and Stop may be tried again. In any state but Running, and when the backup
// is over, it is 55000 too.
func (b *Backup) Stop() error {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	if err := b.checkRunning(); err != nil {
		return err
	}
	switch {
	case b.sending > 0:
		return b.inUse()
	case b.InRecovery && !b.controlLast:
		return b.refusef("backup %q has no global/pg_control yet that was sent after every other file").
			WithHint("Ask for global/pg_control, then stop the backup.")
	}
	b.state = Stopping
	return nil
}

// End takes the backup out of the table, after the cluster's own stop has
// succeeded. Sessions that had joined it get 55000 from here on: it has ended. End
// does nothing when the backup is over, by an Abort that came first for example.
func (b *Backup) End() { b.finish("has ended") }

// Abort takes the backup out of the table, whatever its state. Sessions that had
// joined it get 55000 from here on: it was aborted. It may be called by anybody,
// any number of times, and does nothing when the backup is over.
func (b *Backup) Abort() { b.finish("was aborted") }

func (b *Backup) finish(how string) {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	if b.over != "" {
		return
	}
	b.over = how
	delete(b.table.backups, b.ID)
	close(b.done)
}

// Done is closed when the backup is over, by End or by Abort.
func (b *Backup) Done() <-chan struct{} { return b.done }

// Err is nil until Done is closed. After that it is the *[protocol.Error] that
// every later command of the backup's sessions gets: 55000, the backup has ended
// or was aborted.
func (b *Backup) Err() error {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	if b.over == "" {
		return nil
	}
	return b.overError()
}

// The functions below are called with the table's lock held.

// checkRunning is the error for whatever needs a running backup.
func (b *Backup) checkRunning() error {
	switch {
	case b.over != "":
		return b.overError()
	case b.state == Starting:
		return b.refusef("backup %q has not started yet")
	case b.state == Stopping:
		return b.refusef("backup %q is being stopped")
	}
	return nil
}

func (b *Backup) overError() error { return b.refusef("backup %q " + b.over) }

// refusef makes a 55000 of a format that takes the shortened id.
func (b *Backup) refusef(format string) *protocol.Error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, format, protocol.ShortID(b.ID))
}

func (b *Backup) inUse() *protocol.Error {
	commands := "commands"
	if b.sending == 1 {
		commands = "command"
	}
	return protocol.Errorf(protocol.CodeObjectInUse, "backup %q is in use by %d SEND_FILE %s",
		protocol.ShortID(b.ID), b.sending, commands)
}
