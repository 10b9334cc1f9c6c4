// Package beneath opens what lies beneath a directory and never anything outside of it:
// names are relative to a directory that is open, no component of a name may be a link,
// and nothing but regular files and directories is opened. Whatever somebody else puts
// into the directory meanwhile, a symbolic link or a FIFO, cannot lead out of it nor hold
// the reader up.
//
// Names must be valid by protocol.CheckPath: relative, without "..". Errors are those of
// the system (unix.Errno), and [ErrSpecial].
package beneath
