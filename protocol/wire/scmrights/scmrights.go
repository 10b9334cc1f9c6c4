// Package scmrights passes descriptors of open files from one process to another over a
// Unix socket (SCM_RIGHTS, §8.4).
package scmrights

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// room is for how many descriptors there is room in a call of [Receive]: one more than
// anybody has a use for, so that one too many is noticed.
const room = 2

// Send writes p, which is not empty, with descriptors that arrive with the first byte of p.
// The files stay open here. As with any write to a socket, n may be less than len(p) where err is
// not nil; the descriptors are on their way unless n is 0.
func Send(conn *net.UnixConn, p []byte, fds ...int) (n int, err error) {
	n, _, err = conn.WriteMsgUnix(p, unix.UnixRights(fds...), nil)
	if err == nil && n < len(p) {
		var rest int
		rest, err = conn.Write(p[n:])
		n += rest
	}
	return n, err
}

// Receive reads as conn.Read does, and returns the files that came with the bytes, at most two,
// which are the caller's. Nothing is inherited by programs that are started. Where more
// came, or this process may have no more open files, none is returned, and all are closed.
// A descriptor that comes with bytes that are read by anything else than Receive is closed
// by the kernel.
func Receive(conn *net.UnixConn, p []byte) (n int, files []*os.File, err error) {
	control := make([]byte, unix.CmsgSpace(room*4))
	n, length, flags, _, err := conn.ReadMsgUnix(p, control)
	if errors.Is(err, io.EOF) {
		err = io.EOF // as Read has it
	}
	n = max(n, 0) // it is -1 with an error of the system, as where the peer is gone
	if length <= 0 {
		return n, nil, err
	}
	messages, invalid := unix.ParseSocketControlMessage(control[:length])
	for _, m := range messages {
		fds, notRights := unix.ParseUnixRights(&m)
		if notRights != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "descriptor"))
		}
	}
	if flags&unix.MSG_CTRUNC != 0 || invalid != nil {
		Close(files)
		files = nil
	}
	return n, files, err
}

// Close closes files that nobody has a use for.
func Close(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // it was not written to
	}
}

// Conn is a Unix socket that keeps the files which come with what is read. One goroutine reads
// it and takes them.
type Conn struct {
	*net.UnixConn
	files []*os.File
}

// Read is [Receive] that keeps the files.
func (c *Conn) Read(p []byte) (int, error) {
	n, files, err := Receive(c.UnixConn, p)
	c.files = append(c.files, files...)
	return n, err
}

// Take returns the files that have come since it was last called, which are the caller's.
func (c *Conn) Take() []*os.File {
	files := c.files
	c.files = nil
	return files
}
