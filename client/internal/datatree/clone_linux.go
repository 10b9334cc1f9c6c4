package datatree

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// cloneFile makes to, which is empty, share the blocks of from (FICLONE). XFS and btrfs can.
func cloneFile(to, from *os.File) error {
	defer runtime.KeepAlive(from)
	defer runtime.KeepAlive(to)
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
}

// readDirectly has the file read past the system's cache, where the file system can do that: the
// cache knows the blocks under the other file only, would hold them twice, and lose to them what
// the cluster needs.
func readDirectly(f *os.File) {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags|unix.O_DIRECT) // else it is read as any other
	}
}
