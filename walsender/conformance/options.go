package conformance

import (
	"context"
	"errors"
	"time"
)

// Target is what a client is told: where the server is, and what to write.
type Target struct {
	Case string // the ID of the case
	Host string // 127.0.0.1
	Port int
	// Dir is the data directory to write. It is absent, or empty, or in a case about
	// just that occupied. The backup needs backup_label, WAL and manifest.
	Dir string
	// Jobs is how many connections are to copy files; one more may lead.
	Jobs int
	// MinJobs is how many of Jobs are enough, where others cannot be had. All of them
	// are needed in most cases.
	MinJobs int
	// WAL is "fetch", or "none" where the backup is to be taken without WAL.
	WAL string
	// The cluster may have a tablespace at TablespaceOld, which is to be written to
	// TablespaceNew. Both are absolute paths; neither exists.
	TablespaceOld, TablespaceNew string
}

// Client takes a backup and returns nil when it says that the backup is good. It must
// return when ctx ends, and leave nothing running. The error is what a program would
// print; [ErrNotSupported] in it says that the client cannot do what the case needs.
// It may be called by several goroutines.
type Client func(ctx context.Context, t Target) error

// ErrNotSupported is returned by a [Client] that lacks an ability which a case needs,
// such as the mapping of tablespaces.
var ErrNotSupported = errors.New("not supported by the client")

// StatusNotSupported is the exit status by which a program says [ErrNotSupported].
const StatusNotSupported = 77

// Defaults of [Options].
const (
	DefaultParallel = 4
	DefaultTimeout  = 20 * time.Second
)

// Options say what to run. One of Client and Command is needed, all else may be zero.
type Options struct {
	// Client is the client in this process. The cases that kill the client are not
	// for it: they are not supported.
	Client Client

	// Command is the client as a program and its arguments. Each {host}, {port},
	// {dir}, {jobs}, {min-jobs}, {case}, {wal}, {tablespace-old} and {tablespace-new} in
	// them is replaced by what [Target] says; cases that need a placeholder which no argument
	// has are not supported. The program runs without the environment variables of
	// libpq (PG…), in a process group of its own.
	Command []string

	// Select are IDs, areas or patterns of [path.Match]; none means all cases.
	Select []string

	// NotSupported and KnownFailing select cases likewise, but none means none.
	// Those of NotSupported are not run. Those of KnownFailing are: their failure
	// does not count, but it counts when they pass, so that the list stays true.
	NotSupported, KnownFailing []string

	Strict   bool          // SHOULD counts
	Parallel int           // cases at a time; 0 means DefaultParallel
	Timeout  time.Duration // for a case, after which the client is killed; 0 means DefaultTimeout

	// Seed decides the order of the cases, and within each of them the system
	// identifier and the byte at which a file breaks off. A case does the same
	// with the same seed, whichever others run. 0 is a seed like any other.
	Seed uint64

	// Trace is a directory, made where it is not there, that gets a file with all
	// that was said for each connection of each case: AREA-nnn/A.txt, in the order
	// of the connections. Empty means none.
	Trace string

	// Done is called with each result as it comes, never twice at a time. May be nil.
	Done func(Result)
}
