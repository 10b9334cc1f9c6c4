package peer

import (
	"errors"
	"net"
	"syscall"
)

// UID asks the kernel for the user at the other end of a Unix socket.
func UID(conn net.Conn) (uint32, error) {
	socket, ok := conn.(syscall.Conn)
	if _, local := conn.RemoteAddr().(*net.UnixAddr); !ok || !local {
		return 0, errors.ErrUnsupported
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var uid uint32
	asked := raw.Control(func(fd uintptr) { uid, err = socketPeerUID(int(fd)) })
	return uid, errors.Join(asked, err)
}
