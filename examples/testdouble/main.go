// Testdouble is a backup client at its smallest; what it is about are its tests, which
// run it against a server that goes wrong. It backs up clusters that there are only in
// memory: for those of somebody's data there is package client.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func main() {
	// A copy that is interrupted is removed like any other that fails.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demonstrate(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testdouble:", err)
		os.Exit(1)
	}
}

// demonstrate copies twice, the second time from a server that sends half of a file.
func demonstrate(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "testdouble")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i, faults := range [][]walsendertest.Fault{nil, {walsendertest.ShortFile("base/5/20000", 40960)}} {
		server := &walsendertest.Server{Cluster: walsendertest.Primary(), Faults: faults}
		if err := server.Start(); err != nil {
			return err
		}
		config, err := server.ConnConfig()
		if err != nil {
			return err
		}
		fmt.Printf("with the faults %v: error %v\n", faults, copyCluster(ctx, config, filepath.Join(dir, fmt.Sprint(i))))
		if err := server.Close(); err != nil {
			return err
		}
	}
	return nil
}
