package acceptance_test

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// The server goes in the middle of a backup: while files are copied slowly, so that
// every worker is at one, and when all of them are there.
func TestThread_ServerIsShutDown(t *testing.T) { shutServerDown(t, unix.SIGTERM, unix.SIGKILL) }

func TestThread_ServerIsShutDown_Long(t *testing.T) {
	longtest.Mark(t)
	shutServerDown(t, unix.SIGQUIT)
}

func shutServerDown(t *testing.T, signals ...unix.Signal) {
	t.Parallel()
	from := newSample(t)
	const farewell = "FATAL: terminating connection due to administrator command"
	silence := []string{"server closed the connection unexpectedly", "connection reset by peer", "broken pipe", "unexpected EOF"}
	for _, how := range []struct {
		name   string
		signal unix.Signal
		texts  []string
	}{
		{"fast", unix.SIGTERM, []string{farewell}},
		{"immediate", unix.SIGQUIT, silence},
		{"killed", unix.SIGKILL, silence},
	} {
		if !slices.Contains(signals, how.signal) {
			continue
		}
		for _, step := range []string{"SEND_FILE", "STOP_BACKUP"} {
			t.Run(how.name+" at "+step, func(t *testing.T) {
				eachTarget(t, func(t *testing.T, jobs int, to target) {
					s := serve(t, from.dir)
					options, n := to.options(from.location, jobs), 1
					if step == "SEND_FILE" {
						options, n = append(options, "--max-rate=1024"), 10
					}
					g := newGate(t, s, step, n)
					b := start(t, backup(t, g.socketDir, to.dir, options...))
					g.wait(t, b)
					s.signal(how.signal)
					s.wait(t)
					b.wait(t)
					to.checkFailed(t, b, how.texts...)
				})
			})
		}
	}
}
