package controlfile

import "fmt"

// State is the state of the cluster as pg_control has it (catalog/pg_control.h).
// It is what the server last wrote, not what it does now: a server that was
// killed leaves the state it was in.
type State int32

// The states. The texts of [State.String] are those of pg_controldata.
const (
	// StateStartup: the server was starting up. From there to
	// StateInProduction, or to one of the recoveries.
	StateStartup State = iota
	// StateShutDown: a primary that was stopped with a shutdown checkpoint.
	// A copy starts without recovery. Left by the next start.
	StateShutDown
	// StateShutDownInRecovery: a standby that was stopped with a restartpoint.
	// A copy replays WAL to the minimum recovery point. Left by the next start.
	StateShutDownInRecovery
	// StateShuttingDown: a server on its way to StateShutDown; found on disk
	// where it was killed before it got there.
	StateShuttingDown
	// StateInCrashRecovery: a server that replayed its own WAL after a crash.
	StateInCrashRecovery
	// StateInArchiveRecovery: a standby, or a restore, that runs or was killed.
	StateInArchiveRecovery
	// StateInProduction: a primary that runs or was killed.
	StateInProduction
)

// String is the state as pg_controldata prints it.
func (s State) String() string {
	names := [...]string{
		"starting up", "shut down", "shut down in recovery", "shutting down",
		"in crash recovery", "in archive recovery", "in production",
	}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("unrecognized status code %d", int32(s))
	}
	return names[s]
}

// Standby reports whether the cluster is a standby in this state.
func (s State) Standby() bool {
	return s == StateShutDownInRecovery || s == StateInArchiveRecovery
}
