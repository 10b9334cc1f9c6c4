package client

import (
	"os"

	"golang.org/x/sys/unix"
)

// checkSpace warns where a file system has less room than what is to be written there.
// It is a warning, for only the file system knows what it makes of it: it may compress,
// or grow. WAL is not listed yet, and counts as one segment where it has a directory of
// its own.
func (b *backup) checkSpace(spaces []PlannedSpace) {
	if b.output() != nil || b.compression().Method != CompressionNone {
		return
	}
	if b.WAL.Dir != "" {
		spaces = append(spaces, PlannedSpace{Target: b.WAL.Dir, Bytes: b.cluster.segmentSize})
	}
	type room struct {
		dir          string
		needed, free int64
	}
	rooms := map[uint64]*room{}
	for _, space := range spaces {
		dir, device, free, known := freeSpace(space.Target)
		if space.Target == "" || !known {
			continue
		}
		if rooms[device] == nil {
			rooms[device] = &room{dir: dir, free: free}
		}
		rooms[device].needed += space.Bytes
	}
	for _, r := range rooms {
		if r.needed > r.free {
			b.events.tell(LevelWarning, "file system of directory %q has %d kB left, the backup needs %d kB there", r.dir, r.free/1024, (r.needed+1023)/1024)
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

// spaces sums up what goes where, when the target is occupied.
func (b *backup) spaces() []PlannedSpace {
	targets := map[uint32]string{0: b.Dir}
	if b.target != nil {
		for oid, p := range b.target.spaces {
			targets[oid] = p.path
		}
	}
	if b.Archive != nil {
		for _, t := range b.tablespaces {
			targets[t.OID] = b.Dir
		}
	}
	return b.plannedSpaces(targets)
}
