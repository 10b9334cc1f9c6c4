package client

import (
	"io"
	"time"
)

// sink takes the files that one goroutine receives, one at a time: it writes them to
// directories on disk, or into archives.
type sink interface {
	// create begins the file f, under a name that may differ from its path. The size
	// of f is the listed one.
	create(f *file, name string) (entry, error)
	// flush hands on what the sink still holds of finished files.
	flush() error
	// close gives up what the sink holds and keeps open. The sink can be used again.
	close()
	// meanwhile sets a function that the sink calls every readAheadInterval for as long
	// as it waits for other sinks.
	meanwhile(do func())
	// hasWaited reports whether the sink has called that function since it was last
	// asked.
	hasWaited() bool
}

// entry is a file on its way into a backup. Its last call is a finish that succeeds, or
// discard.
type entry interface {
	// write adds data, and returns the part of data that belongs to the file.
	write(data []byte) (kept []byte, err error)
	// finish completes the file. What finish adds to the file itself, it writes to sum
	// as well.
	finish(sum io.Writer) error
	// discard takes the file back. A file that could not be taken back must not be sent
	// again.
	discard() error
}

// readAheadInterval is how long a sink may keep a connection waiting: a server gives up a
// connection from which nothing is read for a minute (wal_sender_timeout).
const readAheadInterval = 20 * time.Second
