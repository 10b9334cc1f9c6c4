// Testdouble is a backup client at its smallest; what it is about are its tests, which
// run it against a server that goes wrong.
//
//	testdouble [CONNSTR DIRECTORY]
//
// Without arguments it backs up a cluster that there is only in memory.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

func main() {
	run := demonstrate
	if len(os.Args) == 3 {
		run = func(ctx context.Context) error {
			config, err := pgconn.ParseConfig(os.Args[1])
			if err != nil {
				return err
			}
			return copyCluster(ctx, config, os.Args[2])
		}
	}
	if err := run(context.Background()); err != nil {
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
