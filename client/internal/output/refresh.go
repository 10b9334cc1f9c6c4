package output

import "os"

// Refresher is an [Output] that begins with what an earlier backup, or one that was not
// finished, has left. The goroutine of the backup calls SystemID, Time and Removed; those
// of the workers may call the others, for different files.
type Refresher interface {
	Output
	// SystemID is the system identifier of the cluster that the earlier backup is of, 0 where
	// that is not known; exists is false where there is none.
	SystemID() (id uint64, exists bool)
	// Time is the time of a file, in Unix seconds, that the manifest there has; false where
	// it has none. It is a hint.
	Time(path string) (int64, bool)
	// Earlier opens what there is of a file, which the caller closes; false where there is no
	// regular file that can be read. Where there are two, as of a refresh that was killed, it
	// is the one of the size.
	Earlier(path string, size int64) (Earlier, bool)
	// OnDisk lets what is read of an earlier file come from the disk, and tells how much of it is
	// there: less than its size where only memory may have the end.
	OnDisk(path string, e Earlier) (size int64, err error)
	// Keep makes the earlier file the backup's, as it is.
	Keep(path string, e Earlier) error
	// Patch makes a file with the content of the earlier one the backup's, open for reading and
	// writing. Nothing else has it: what is written to it reaches no other backup.
	Patch(path string, e Earlier) (*os.File, error)
	// Drop removes what there is of a file, if there is anything: it is to be created.
	Drop(path string) error
	// Beside is the directory in which the new backup is made beside the old one; empty: it is made
	// where the earlier one is.
	Beside() string

	// For a dry run: Preview in place of Claim, then Earlier and EachRemoved, and Close.

	// Preview opens what there is.
	Preview() error
	// EachRemoved tells what the earlier backup has that was not listed, with its size.
	EachRemoved(l *Listing, each func(path string, bytes int64)) error
	// Close lets go of what there is.
	Close()

	// Removed is how many files were there that are no part of the new backup.
	Removed() int64
}

// Earlier is a file of an earlier backup. It is open for reading.
type Earlier struct {
	*os.File
	Size int64
	Here bool // it is where the new backup is written; false: in the one that this is to replace
}
