package datatree

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// WarnOfSpace warns where a file system has less room than what is to be written there:
// needs has the bytes by directory, which need not exist yet. It is a warning, for only
// the file system knows what it makes of the files: it may compress, or grow.
func WarnOfSpace(log output.Log, needs map[string]int64) {
	type room struct {
		dir          string
		needed, free int64
	}
	rooms := map[uint64]*room{}
	for path, needed := range needs {
		dir, device, free, known := freeSpace(path)
		if !known {
			continue
		}
		if rooms[device] == nil {
			rooms[device] = &room{dir: dir, free: free}
		}
		rooms[device].needed += needed
	}
	for _, r := range rooms {
		if r.needed > r.free {
			log.Warning("file system of directory %q has %d kB left, the backup needs %d kB there", r.dir, r.free/1024, (r.needed+1023)/1024)
		}
	}
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
