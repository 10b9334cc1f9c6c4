package conninfo

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// socketOptions are keepalives, their idle time, interval and count, and the user
// timeout.
func socketOptions(t *testing.T, c *net.TCPConn) string {
	raw, err := c.SyscallConn()
	must(t, err)
	get := func(level, option int) (n int) {
		must(t, raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), level, option) }))
		must(t, err)
		return n
	}
	return fmt.Sprint(get(unix.SOL_SOCKET, unix.SO_KEEPALIVE), get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT), get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))
}
