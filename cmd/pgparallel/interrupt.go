package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// interruption is the cause of a context that a signal has ended.
type interruption struct{ signal unix.Signal }

// Error implements error.
func (i *interruption) Error() string { return "interrupted by " + unix.SignalName(i.signal) }

// untilInterrupted is a context that SIGINT or SIGTERM ends, with an [interruption]
// as its cause. The second signal has its usual effect: it kills. So have all after
// release, which must be called.
func untilInterrupted() (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	go func() { // ends with ctx
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&interruption{s.(unix.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}
