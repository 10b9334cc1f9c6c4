// Package wire is how the values of package protocol travel: the packet that begins a
// connection ([StartupPacket]), the messages that results and errors become
// ([RowDescription], [DataRow], [ErrorResponse]), and the CopyData frames that carry
// files ([FrameWriter], [FrameReader]). What it has no type for is left to pgproto3: the
// package holds what is too early for that (the startup packet) or too hot (frames).
//
// The package opens no connection; it reads and writes what it is given. It starts no
// goroutine and keeps no state. A reader or a writer belongs to one goroutine.
//
// A § in a comment is a section of PROTOCOL.md, which lies beside package protocol.
package wire
