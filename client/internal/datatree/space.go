package datatree

import (
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// FileSystem is a file system that a backup is written to.
type FileSystem struct {
	Dir    string // a directory on it that exists
	Needed int64  // bytes that are to be written there
	Free   int64  // bytes that can be
}

// FileSystems are the file systems of directories, which need not exist yet: needs has the
// bytes that are to be written to each. One whose room is not known is left out.
func FileSystems(needs map[string]int64) []FileSystem {
	var found []FileSystem
	at := map[uint64]int{} // by device
	for _, path := range slices.Sorted(maps.Keys(needs)) {
		dir, device, free, known := freeSpace(path)
		if !known {
			continue
		}
		i, seen := at[device]
		if !seen {
			i = len(found)
			at[device], found = i, append(found, FileSystem{Dir: dir, Free: free})
		}
		found[i].Needed += needs[path]
	}
	return found
}

// freeSpace is how much can be written to the file system of a path that may not exist
// yet.
func freeSpace(path string) (dir string, device uint64, free int64, known bool) {
	dir, _, err := existing(path)
	if err != nil {
		return "", 0, 0, false
	}
	info, err := os.Stat(dir)
	var system unix.Statfs_t
	if err != nil || unix.Statfs(dir, &system) != nil {
		return "", 0, 0, false
	}
	return dir, deviceOf(info), int64(uint64(system.Bavail) * uint64(system.Bsize)), true
}
