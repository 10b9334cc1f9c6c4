package peer

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp reports whether the peer has closed its sending side, also while there are
// bytes of its to read, and whether it is known to be gone altogether: that shows at
// once on a Unix socket, and on TCP when something was sent in vain. A connection
// without a file descriptor is never hung up here: its end shows when its bytes have
// been read.
func hungUp(conn net.Conn) (silent, gone bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, false
	}
	var events int16
	err = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		if err == nil && n == 1 {
			events = poll[0].Revents
		}
	})
	gone = err != nil || events&(unix.POLLHUP|unix.POLLERR) != 0
	return gone || events&unix.POLLRDHUP != 0, gone
}
