//go:build !linux

package conninfo

import (
	"errors"
	"net"
	"syscall"
)

func peerName(*net.UnixConn) (string, error) { return "", errors.ErrUnsupported }

// setUserTimeout does nothing, as libpq does where the system has no such option.
func setUserTimeout(syscall.RawConn, int) error { return nil }
