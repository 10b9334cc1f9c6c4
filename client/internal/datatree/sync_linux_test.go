package datatree

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Only where syncfs is known to reach the disk, or the server, is it trusted: on others
// it returns without an error, too.
func TestSync_FileSystems(t *testing.T) {
	for system, want := range map[int64]bool{
		unix.EXT4_SUPER_MAGIC: true, unix.XFS_SUPER_MAGIC: true, unix.BTRFS_SUPER_MAGIC: true, unix.F2FS_SUPER_MAGIC: true,
		unix.OVERLAYFS_SUPER_MAGIC: true, unix.NFS_SUPER_MAGIC: true, unix.TMPFS_MAGIC: true, 0x2fc12fc1: true, 0xca451a4e: true,
		unix.FUSE_SUPER_MAGIC: false, unix.CIFS_SUPER_MAGIC: false, unix.SMB2_SUPER_MAGIC: false, unix.SMB_SUPER_MAGIC: false,
		unix.V9FS_MAGIC: false, unix.CEPH_SUPER_MAGIC: false, unix.MSDOS_SUPER_MAGIC: false, unix.EXFAT_SUPER_MAGIC: false,
		unix.ECRYPTFS_SUPER_MAGIC: false, unix.AFS_SUPER_MAGIC: false, 0: false,
	} {
		if got := flushes("5.8.0", system); got != want {
			t.Errorf("%#x is trusted: %v, want %v", system, got, want)
		}
		if flushes("5.7.19", system) {
			t.Errorf("%#x is trusted by a kernel that loses errors", system)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.2-cloud": true, "5.8.0": true, "5.10.0-28-amd64": true, "5.7.19": false, "4.18.0-553.el8.x86_64": false, "": false, "x.y": false,
	} {
		if got := atLeast(release, 5, 8); got != want {
			t.Errorf("%q is at least 5.8: %v, want %v", release, got, want)
		}
	}
}
