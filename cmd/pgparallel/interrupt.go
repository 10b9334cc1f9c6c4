package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// interruption is the cause of a context that a signal has ended.
type interruption struct{ signal unix.Signal }

func (i *interruption) Error() string { return "interrupted by " + unix.SignalName(i.signal) }

// deliberate is how long after the first signal another one is meant to be a second:
// timeout(1) sends two at once, and so does a terminal that goes away.
const deliberate = time.Second

// surviveWrites turns two signals that would kill the program in the middle of its work
// into errors of the write that causes them: nobody reads at the other end of a pipe,
// or a file is as large as a limit (ulimit -f) allows. Other than with signal.Ignore,
// the programs that this one starts have them as ever.
func surviveWrites() { signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE, unix.SIGXFSZ) }

// untilInterrupted is a context that SIGINT, SIGTERM, SIGHUP or SIGQUIT ends, with an
// [interruption] as its cause, unless the program was started with the signal ignored,
// as by nohup. From then on nothing waits for a reader of out. A deliberate second
// signal, but no SIGHUP, has its usual effect: it kills. So have all after release,
// which must be called, but for a program that was interrupted: the second of two signals
// must not change the exit status of a cleanup that has just been done.
func untilInterrupted(out *console) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() { // ends with release, or with the program that was interrupted
		var first time.Time
		for s := range signals {
			switch {
			case first.IsZero():
				first = time.Now()
				out.hurry()
				cancel(&interruption{s.(unix.Signal)})
			case s != unix.SIGHUP && time.Since(first) >= deliberate:
				signal.Reset(s)
				_ = unix.Kill(os.Getpid(), s.(unix.Signal)) // that we may
			}
		}
	}()
	return ctx, func() {
		if ctx.Err() == nil {
			signal.Stop(signals)
			close(signals)
		}
		cancel(nil)
	}
}
