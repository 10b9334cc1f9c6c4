package output

import (
	"io"
	"os"
	"time"
)

// Sink takes the files that one goroutine receives, one at a time: it writes them to
// directories on disk, or into archives.
type Sink interface {
	// Create begins the file f, under a name that may differ from its path. The size
	// of f is the listed one.
	Create(f *File, name string) (Entry, error)
	// Flush hands on what the sink still holds of finished files.
	Flush() error
	// Close gives up what the sink holds and keeps open. The sink can be used again.
	Close()
	// Meanwhile sets a function that the sink calls every [ReadAheadInterval] for as long
	// as it waits for other sinks.
	Meanwhile(do func())
	// HasWaited reports whether the sink has called that function since it was last
	// asked.
	HasWaited() bool
}

// Entry is a file on its way into a backup. Its last call is a Finish that succeeds, or
// Discard.
type Entry interface {
	// Add adds data, and returns the part of data that belongs to the file.
	Add(data []byte) (kept []byte, err error)
	// Finish completes the file. What Finish adds to the file itself, it writes to sum
	// as well.
	Finish(sum io.Writer) error
	// Discard takes the file back. A file that could not be taken back must not be sent
	// again.
	Discard() error
}

// Cloner is an [Entry] that can share the blocks of another file instead of copying them,
// where the file system can.
type Cloner interface {
	// Clone makes the entry, to which nothing was added yet, a clone of a file, of the first
	// size bytes of it at the most. The content can be read until the entry's Finish or
	// Discard, at offsets and into memory that are multiples of 4096. Where the two files cannot share blocks, the error is
	// [errors.ErrUnsupported], and the entry is as it was.
	Clone(from *os.File, size int64) (content *os.File, err error)
}

// Filler is an [Entry] to which data can be added in any order.
type Filler interface {
	// AddAt adds data that belongs at an offset. Several goroutines may call it at once. After
	// AddAt come only others, and Fill.
	AddAt(data []byte, offset int64) error
	// Fill says how long the file is. What was added beyond is cut off.
	Fill(size int64)
}

// ReadAheadInterval is how long a sink may keep a connection waiting: a server gives up a
// connection from which nothing is read for a minute (wal_sender_timeout).
const ReadAheadInterval = 20 * time.Second
