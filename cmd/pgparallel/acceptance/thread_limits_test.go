package acceptance_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limited is the command in a process that may have so many files open.
func limited(cmd *exec.Cmd, files int) *exec.Cmd {
	script := fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files)
	shell := exec.Command("/bin/sh", append([]string{"-c", script}, cmd.Args...)...)
	shell.Env = cmd.Env
	return shell
}

// More connections than the process may have files open: the limit is named, and how
// many it is enough for.
func TestThread_TooManyJobsForTheLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir, "--max-wal-senders=2000")
	for _, tt := range []struct{ jobs, files, fit int }{
		{jobs: 1990, files: 1024, fit: 198},
		{jobs: 8, files: 64, fit: 6},
		{jobs: 1, files: 32, fit: 0},
	} {
		for _, existed := range []bool{false, true} {
			t.Run(fmt.Sprintf("-j %d, target exists %t", tt.jobs, existed), func(t *testing.T) {
				to := newTarget(t, t.TempDir(), existed)
				b := run(t, limited(backup(t, s.socketDir, to.dir, to.options(from.location, tt.jobs)...), tt.files))
				to.checkFailed(t, b, fmt.Sprintf("cannot open %d connections: the limit of open files (ulimit -n) is %d, which is enough for %d; ",
					tt.jobs, tt.files, tt.fit))
			})
		}
	}
}

// With --min-jobs the backup goes on with the workers that it can have.
func TestThread_TooManyJobsButFewerAreEnough(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir, "--max-wal-senders=2000")
	to := newTarget(t, reachable(t), false)
	b := run(t, limited(backup(t, s.socketDir, to.dir, append(to.options(from.location, 1990), "--min-jobs=8")...), 1024))
	to.checkWhole(t, b)
	if said := b.stderr.String(); strings.Count(said, "warning: ") != 1 || !strings.Contains(said, "(ulimit -n), going on with 198\n") {
		t.Errorf("want one warning, that it goes on with 198 workers:\n%s", said)
	}
}

// The server has enough connections for one backup, and for the leader of a second,
// but not for its workers too. The first is held at a file meanwhile, and completes.
func TestThread_TwoBackupsAtOnce(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	eachTarget(t, func(t *testing.T, jobs int, to target) {
		senders := jobs + 2
		s := serve(t, from.dir, fmt.Sprintf("--max-wal-senders=%d", senders))
		g := newGate(t, s, "SEND_FILE", 5)
		first := newTarget(t, reachable(t), false)
		b := start(t, backup(t, g.socketDir, first.dir, first.options(from.location, jobs)...))
		g.wait(t, b)

		second := run(t, backup(t, s.socketDir, to.dir, to.options(from.location, jobs)...))
		to.checkFailed(t, second, fmt.Sprintf("FATAL: number of requested standby connections exceeds max_wal_senders (currently %d)", senders))

		g.open()
		b.wait(t)
		first.checkWhole(t, b)
		s.signal(unix.SIGTERM)
		s.wait(t)
		if s.status() != 0 {
			t.Errorf("the server ended with status %d", s.status())
		}
	})
}
