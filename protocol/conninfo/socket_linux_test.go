package conninfo

import (
	"fmt"
	"net"
	"path/filepath"
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

// An abstract socket, of which pgconn does not know.
func TestConnect_AbstractSocket(t *testing.T) {
	s := &playedServer{}
	name := "@" + filepath.Base(t.TempDir()) + t.Name()
	s.listen(t, name+"/.s.PGSQL.5432")
	configs, err := resolve(t, "user=u password=x host="+name).Configs()
	must(t, err)
	conn, _, err := Connect(t.Context(), configs)
	must(t, err)
	must(t, conn.Close(t.Context()))
}
