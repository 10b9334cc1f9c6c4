package peer

import (
	"net"

	"golang.org/x/sys/unix"
)

// SendInPlace sends up to n bytes of a file from an offset on, by sendfile(2), and tells how
// many it sent. Fewer without an error mean that the file ends there now, or that sendfile
// is of no use for it or for the connection: Write tells what is wrong with the latter. It
// fails as Write does when nothing moved for the timeout. conn is the connection below.
func (c *Conn) SendInPlace(conn *net.UnixConn, fd int, offset int64, n int) (sent int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	for sent < n {
		if err := c.BeginWrite(); err != nil {
			return sent, err
		}
		var moved int
		var failure error
		err := raw.Write(func(socket uintptr) bool {
			moved, failure = unix.Sendfile(int(socket), fd, &offset, n-sent)
			return failure != unix.EAGAIN
		})
		if err != nil {
			return sent, err
		}
		if failure == unix.EINTR {
			continue
		}
		if failure != nil || moved == 0 {
			return sent, nil
		}
		sent += moved
	}
	return sent, nil
}
