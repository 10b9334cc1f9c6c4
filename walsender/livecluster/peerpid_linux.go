package livecluster

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerPID is the process that listens at the other end of a Unix socket; 0 where that
// cannot be known: another kind of connection, or a process that is not visible from
// here, as in another container.
func peerPID(conn net.Conn) int {
	socket, ok := conn.(interface {
		SyscallConn() (syscall.RawConn, error)
	})
	if !ok || conn.RemoteAddr().Network() != "unix" {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	err = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	if err != nil {
		return 0
	}
	return pid
}
