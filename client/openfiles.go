package client

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

const (
	// filesPerWorker is what a worker has open at once: its connection, the file
	// that it writes, the directory of that, and two on the way to the next one.
	filesPerWorker = 5
	// otherFiles is what there is besides: the leader, the stream of WAL, the
	// directories that are written, standard output, the runtime's own.
	otherFiles = 32
)

// maxOpenFiles is how many files the process may have open.
func maxOpenFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}

// checkOpenFiles returns how many workers there can be where the process may have so
// many files open: as many as are wanted, or fewer where fewer are enough (§5.4).
func (b *backup) checkOpenFiles(limit int) (jobs int, err error) {
	fixed := otherFiles + len(b.tablespaces) // each has a directory, or an archive
	fit := max((limit-fixed)/filesPerWorker, 0)
	if b.Jobs <= fit {
		return b.Jobs, nil
	}
	if b.MinJobs == 0 || fit < b.MinJobs {
		return 0, fmt.Errorf("cannot open %d connections: the limit of open files (ulimit -n) is %d, which is enough for %d; %d are needed", b.Jobs, limit, fit, fixed+b.Jobs*filesPerWorker)
	}
	b.events.tell(LevelWarning, "%d connections are too many for the limit of %d open files (ulimit -n), going on with %d", b.Jobs, limit, fit)
	return fit, nil
}

// maxFolders is how many directories a worker keeps open, where it can.
const maxFolders = 16

// foldersPerWorker is how many directories each of so many workers can keep open, beside
// those of the tablespaces.
func foldersPerWorker(limit, jobs, tablespaces int) int {
	spare := (limit - otherFiles - tablespaces - jobs*filesPerWorker) / jobs
	return min(max(1+spare, 1), maxFolders)
}
