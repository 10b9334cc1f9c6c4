//go:build !linux

package walsender

import "net"

// hungUp cannot tell here: the peer's end shows when its bytes have been read.
func hungUp(net.Conn) bool { return false }
