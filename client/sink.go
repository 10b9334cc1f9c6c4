package client

import "io"

// sink is where a worker puts files: directories on disk, or archives. One goroutine
// uses it, for one file at a time.
type sink interface {
	// create begins the file f, under a name that may be another than its path.
	// The size of f is what was listed.
	create(f *file, name string) (entry, error)
	// flush hands on what the sink still holds of files that are finished.
	flush() error
	// close gives up what the sink holds and keeps open. It can be used again.
	close()
}

// entry is a file on its way into a backup. Its last call is a finish that succeeds,
// or discard.
type entry interface {
	// write adds data, or as much of it as belongs to the file, which it returns.
	write(data []byte) (kept []byte, err error)
	// finish completes the file. What it fills the file up with, it writes to sum
	// as well.
	finish(sum io.Writer) error
	// discard takes the file back. After an error that cannot be done: it must
	// not be sent again.
	discard() error
}
