package datatree

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// flushed are the file systems whose syncfs is known to reach the disk, or the server.
// That of others need not: CIFS and 9p have none, and that of FUSE asks nobody.
var flushed = []int64{
	unix.EXT4_SUPER_MAGIC, // ext2 and ext3, too
	unix.XFS_SUPER_MAGIC,
	unix.BTRFS_SUPER_MAGIC,
	unix.F2FS_SUPER_MAGIC,
	unix.OVERLAYFS_SUPER_MAGIC,
	unix.NFS_SUPER_MAGIC,
	unix.TMPFS_MAGIC,
	0x2fc12fc1, // ZFS
	0xca451a4e, // bcachefs
}

// flushes reports whether syncfs can be trusted to have an effect and to tell of errors,
// as it does from Linux 5.8 on.
func flushes(release string, system int64) bool {
	return atLeast(release, 5, 8) && slices.Contains(flushed, system)
}

// CanSyncfs reports whether there is a call for whole file systems.
const CanSyncfs = true

// syncFileSystem makes a file system durable by one system call, and reports whether it
// did: not where the call is missing, or cannot be trusted, unless it is wanted.
func syncFileSystem(file *os.File, wanted bool) (done bool, err error) {
	if wanted {
		return true, os.NewSyscallError("syncfs", unix.Syncfs(int(file.Fd())))
	}
	var name unix.Utsname
	var system unix.Statfs_t
	fd := int(file.Fd())
	if unix.Uname(&name) != nil || unix.Fstatfs(fd, &system) != nil {
		return false, nil
	}
	// The numbers have 32 bits, whatever type the system has for them.
	if !flushes(unix.ByteSliceToString(name.Release[:]), int64(uint32(system.Type))) {
		return false, nil
	}
	err = unix.Syncfs(fd)
	for _, not := range []error{unix.ENOSYS, unix.EINVAL, unix.EPERM} {
		if errors.Is(err, not) {
			return false, nil
		}
	}
	return err == nil, os.NewSyscallError("syncfs", err)
}

// atLeast reports whether a kernel's release is the version or a later one.
func atLeast(release string, major, minor int) bool {
	var x, y int
	n, _ := fmt.Sscanf(release, "%d.%d", &x, &y)
	return n == 2 && (x > major || x == major && y >= minor)
}
