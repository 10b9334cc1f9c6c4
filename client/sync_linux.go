package client

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// syncTrees makes the trees below the directories durable, with one system call
// for each file system that they are on: for many small files that is an order of
// magnitude faster than a call for each file.
func syncTrees(directories []*os.File) error {
	seen := map[uint64]bool{}
	for _, d := range directories {
		var stat unix.Stat_t
		if err := unix.Fstat(int(d.Fd()), &stat); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		if device := uint64(stat.Dev); !seen[device] {
			seen[device] = true
			if err := unix.Syncfs(int(d.Fd())); err != nil {
				return os.NewSyscallError("syncfs", err)
			}
		}
	}
	return nil
}

func syncDirectoryOf(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
