// Command bench measures base backups side by side on one machine: pgparallel over each of its
// paths, pg_basebackup of every major that is there, pgBackRest and cp. "make bench" runs it.
//
// In each round every program of a comparison takes one backup, one after the other, of the same
// running cluster, whose files are in the page cache, to the same path, which is removed before.
// The first round warms up and does not count. See [meter] for what is measured, and [ratioOf] for
// when a ratio is told.
//
//	go run ./cmd/bench -size 200MB -rounds 3 -only unix
//	go run ./cmd/bench network
//	go run ./cmd/bench model
//
// The mode network takes backups over lines of several rates and round trips, from another network
// namespace; the mode model computes what a backup is bounded by, on lines that are not there.
//
// It needs Linux, for /proc, and PostgreSQL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	// The processes that bench has started end with the context, and what it has made is removed.
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	release()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // package flag has told why
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// run is the program: its tables go to stdout, what it does meanwhile to progress.
func run(ctx context.Context, args []string, stdout, progress io.Writer) error {
	mode := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		mode, args = args[0], args[1:]
	}
	switch mode {
	case "":
		return runCompare(ctx, args, stdout, progress)
	case "network":
		return runNetwork(ctx, args, stdout, progress)
	case "model":
		return runModel(args, stdout, progress)
	}
	return fmt.Errorf("there is no mode %q: network and model are, and without one backups are compared", mode)
}
