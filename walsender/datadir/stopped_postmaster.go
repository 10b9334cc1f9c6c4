package datadir

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// postmasterFile is what a server has in its data directory while it runs. One that
// crashed leaves it there, and so does a snapshot.
const postmasterFile = "postmaster.pid"

// postmaster is postmaster.pid as it was read, nil where there is none.
func (d *Dir) postmaster() ([]byte, error) {
	const most = 1 << 16
	text, _, err := d.root.Read(postmasterFile, most)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		return nil, ioError("read file", postmasterFile, err)
	}
	return text, nil
}

// runningServer finds the server that runs on the data directory, on this machine, and
// tells its process id; 0 if there is none, which makes postmaster.pid stale. A server
// lives in its data directory: that is its working directory, where this can be seen.
func (d *Dir) runningServer(postmaster []byte) (int, error) {
	st, err := d.root.Lstat(".")
	if err != nil {
		return 0, ioError("stat directory", d.path, err)
	}
	here := beneath.IDOf(st)
	pid, path := parsePostmaster(string(postmaster))
	if pid != os.Getpid() && isAlive(pid) {
		switch at, err := workingDirectory(pid); {
		case err == nil && at == here:
			return pid, nil
		case err != nil && leadsTo(path, here):
			// Another user's process, or a system that does not tell.
			return pid, nil
		}
	}
	return orphan(here), nil
}

// parsePostmaster reads the process id and the data directory: the first two lines.
func parsePostmaster(text string) (pid int, dir string) {
	first, rest, _ := strings.Cut(text, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, ""
	}
	dir, _, _ = strings.Cut(rest, "\n")
	return pid, dir
}

// isAlive reports whether there is a process of the id, of whatever user.
func isAlive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := unix.Kill(pid, 0)
	if err != nil && !errors.Is(err, unix.EPERM) {
		return false
	}
	// One that has ended and was not waited for has no directory any more.
	_, err = os.Stat(processDirectory(pid))
	_, cwdErr := os.Stat(processDirectory(pid) + "/cwd")
	return err != nil || !errors.Is(cwdErr, unix.ENOENT)
}

// orphan finds a process of PostgreSQL's that works in the directory: a backend
// outlives its postmaster for a while, and writes.
func orphan(here beneath.ID) int {
	processes, _ := os.ReadDir("/proc") // not every system has it
	for _, process := range processes {
		pid, err := strconv.Atoi(process.Name())
		if err != nil {
			continue
		}
		if at, err := workingDirectory(pid); err != nil || at != here {
			continue
		}
		name, _ := os.ReadFile(processDirectory(pid) + "/comm")
		if strings.Contains(string(name), "postgres") || strings.Contains(string(name), "postmaster") {
			return pid
		}
	}
	return 0
}

func processDirectory(pid int) string { return "/proc/" + strconv.Itoa(pid) }

func workingDirectory(pid int) (beneath.ID, error) {
	st, err := beneath.Stat(processDirectory(pid) + "/cwd")
	return beneath.IDOf(st), err
}

func leadsTo(path string, here beneath.ID) bool {
	st, err := beneath.Stat(path)
	return err == nil && beneath.IDOf(st) == here
}
