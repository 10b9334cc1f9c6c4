package datadir_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// What is in a data directory, and what a backup holds of it.
func ExampleOpen() {
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "data")
	if err := (walsendertest.Sample{WALSegmentSize: 1 << 20}).Write(dir); err != nil {
		log.Fatal(err)
	}

	cluster, err := datadir.Open(dir, datadir.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	ctx := context.Background()
	control, err := cluster.Control(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v, last checkpoint at %v\n", control.State, control.Checkpoint)

	files, last := 0, ""
	for f, err := range cluster.Files(ctx, "", func(*protocol.Error) {}) {
		if err != nil {
			log.Fatal(err)
		}
		files, last = files+1, f.Path
	}
	fmt.Println(files > 40, last)
	// Output:
	// shut down, last checkpoint at 0/200028
	// true global/pg_control
}
