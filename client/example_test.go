package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A backup over four connections that copy, and its verification.
func Example() {
	server := &walsendertest.Server{Cluster: walsendertest.RunningPrimary()}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config, err := server.ConnConfig() // elsewhere a conninfo.Info says where to connect
	if err != nil {
		log.Fatal(err)
	}
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "copy")

	ctx := context.Background()
	result, err := client.Backup(ctx, client.Options{ConnConfig: config, Dir: dir, Jobs: 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("WAL from", result.StartPtr, "to", result.StopPtr, "has been fetched too")

	verify := func() {
		report, err := client.Verify(ctx, dir, client.VerifyOptions{Jobs: 4})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("problems:", len(report.Problems))
		for _, problem := range report.Problems {
			fmt.Println(problem.Message)
		}
	}
	verify()
	if err := os.Remove(filepath.Join(dir, "PG_VERSION")); err != nil {
		log.Fatal(err)
	}
	verify()
	// Output:
	// WAL from 0/200028 to 0/2000C8 has been fetched too
	// problems: 0
	// problems: 1
	// "PG_VERSION" is present in the manifest but not on disk
}

// What the server refuses comes as a *protocol.Error, and nothing is left behind.
func ExampleBackup_refused() {
	failure := protocol.Errorf(protocol.CodeIOError, `could not read file "base/5/20000"`)
	server := &walsendertest.Server{Faults: []walsendertest.Fault{walsendertest.ErrorInFile("base/5/20000", 8192, failure)}}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	config, err := server.ConnConfig()
	if err != nil {
		log.Fatal(err)
	}
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "copy")

	_, err = client.Backup(context.Background(), client.Options{ConnConfig: config, Dir: dir})
	if wire, ok := errors.AsType[*protocol.Error](err); ok {
		fmt.Println(wire.Code, wire.Message)
	}
	_, err = os.Stat(dir)
	fmt.Println("left behind:", err == nil)
	// Output:
	// 58030 could not read file "base/5/20000"
	// left behind: false
}
