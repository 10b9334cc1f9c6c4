//go:build !linux

package peer

import "net"

// hungUp cannot tell here: the peer's end shows when its bytes have been read, or
// when something is sent to it.
func hungUp(net.Conn) (silent, gone bool) { return false, false }
