package peer

import (
	"net"
	"time"
)

// TuneSocket sets the TCP keepalives of §7.2, and the buffer of a Unix socket.
func TuneSocket(conn net.Conn) {
	setKeepAlive(conn)
	setSendBuffer(conn)
}

func setKeepAlive(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{ // a dead connection fails by itself
			Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
		})
	}
}

// sendBuffer is how many bytes of a file may lie between the two ends of a Unix socket: the
// sender then reads the next pieces while the receiver writes the last ones, and each wakes
// the other less often. Linux gives 208 KiB unasked, less than two frames, and grants what
// is asked for up to net.core.wmem_max: where that is 208 KiB, as it often is, nothing
// changes. The CPU time of both ends for a gigabyte was 1.7 s with the 208 KiB, and 1.2 to
// 1.5 s with 1 to 8 times 512 KiB. Of a TCP connection it is not asked: it would end the system's own tuning,
// which goes up to net.ipv4.tcp_wmem, 4 MiB.
const sendBuffer = 2 << 20

func setSendBuffer(conn net.Conn) {
	if socket, ok := conn.(*net.UnixConn); ok {
		_ = socket.SetWriteBuffer(sendBuffer) // it works with less, too
	}
}
