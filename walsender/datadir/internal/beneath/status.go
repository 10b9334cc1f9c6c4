package beneath

import "golang.org/x/sys/unix"

// FileType is the S_IFMT part of the mode, as a number of one size on every system.
func FileType(st unix.Stat_t) uint32 { return uint32(st.Mode) & unix.S_IFMT }

// ID tells files apart, on this machine.
type ID struct{ Device, Inode uint64 }

// IDOf is the ID of the file whose status it is.
func IDOf(st unix.Stat_t) ID { return ID{uint64(st.Dev), uint64(st.Ino)} }

// Stamp tells whether a directory is as it was: its names, that is, in so far as the
// clock of the file system can tell.
type Stamp struct {
	ID
	mtime, ctime unix.Timespec
}

// StampOf is the Stamp of the directory whose status it is.
func StampOf(st unix.Stat_t) Stamp { return Stamp{IDOf(st), st.Mtim, st.Ctim} }

// Stat is the status of what any path leads to, as the kernel follows links. The error
// is a unix.Errno.
func Stat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Stat(path, &st) })
	return st, err
}
