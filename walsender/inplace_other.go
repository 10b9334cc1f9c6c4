//go:build !linux

package walsender

import (
	"net"

	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// sendInPlace sends nothing: the buffer is written.
func sendInPlace(*peer.Conn, *net.UnixConn, int, int64, int) (int, error) { return 0, nil }
