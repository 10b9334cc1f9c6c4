//go:build !linux

package peer

import "golang.org/x/sys/unix"

func socketPeerUID(fd int) (uint32, error) {
	const solLocal = 0 // SOL_LOCAL
	credentials, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}
