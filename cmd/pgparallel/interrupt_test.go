package main

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The second of two signals may come when the cleanup that the first one began is done:
// it must not turn an exit status into a death by signal.
func TestUntilInterrupted_SecondAfterRelease(t *testing.T) {
	ctx, release := untilInterrupted(newConsole(os.Stdout, os.Stderr))
	interrupt := func() {
		if err := unix.Kill(os.Getpid(), unix.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	<-ctx.Done()
	if got, want := context.Cause(ctx).Error(), "interrupted by SIGINT"; got != want {
		t.Errorf("the cause is %q, want %q", got, want)
	}
	release()
	// The program is not told of its death. Whoever interrupts these tests later does it
	// deliberately, and ends them.
	interrupt()
}
