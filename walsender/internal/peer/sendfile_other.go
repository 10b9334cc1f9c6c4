//go:build !linux

package peer

import "net"

// SendInPlace sends nothing: the buffer is written.
func (*Conn) SendInPlace(*net.UnixConn, int, int64, int) (int, error) { return 0, nil }
