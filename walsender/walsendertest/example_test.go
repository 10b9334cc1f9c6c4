package walsendertest_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A program starts and closes a server by itself. In a test, NewServer does that.
func Example() {
	server := &walsendertest.Server{Cluster: walsendertest.RunningPrimary()}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	ask(server, "SHOW wal_segment_size")
	if err := server.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(server.Transcript().Commands())
	// Output:
	// 1MB
	// [SHOW wal_segment_size \quit]
}

// The third session that connects is turned away, and page checksums are wrong.
func ExampleServer_faults() {
	cluster := walsendertest.RunningPrimary()
	cluster.Sample.DamagedPages = []walsendertest.DamagedPage{{Path: "base/5/20000", Block: 3}}
	server := &walsendertest.Server{
		Cluster: cluster,
		Faults: []walsendertest.Fault{
			walsendertest.RefuseConnection(3, walsendertest.TooManySenders),
			walsendertest.CutFile("base/5/20001", 1000),
		},
	}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	for range 3 {
		ask(server, "SHOW server_version")
	}
	fmt.Println("did not happen:", server.Unused())
	// Output:
	// 15.0
	// 15.0
	// FATAL 53300
	// did not happen: [CutFile("base/5/20001", 1000)]
}

// What was said can be compared with a golden file, line by line.
func ExampleTranscript() {
	server := &walsendertest.Server{InMemory: true}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	ask(server, "TIMELINE_HISTORY 2")
	if err := server.Close(); err != nil {
		log.Fatal(err)
	}
	said := server.Transcript().Session("A")
	fmt.Println(said[len(said)-6:])
	// Output:
	// A> TIMELINE_HISTORY 2
	//   RowDescription (filename text, content text)
	//   ErrorResponse ERROR 58P01 could not open file "pg_wal/00000002.history": No such file or directory
	//   ReadyForQuery I
	// A> \quit
	// # A: closed by the client
}

// ask connects, asks for one value and prints it, or how that failed.
func ask(server *walsendertest.Server, command string) {
	ctx := context.Background()
	config, err := server.ConnConfig()
	if err != nil {
		log.Fatal(err)
	}
	config.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		fmt.Println(refused.Severity, refused.Code)
		return
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, command).ReadAll()
	if err == nil {
		fmt.Printf("%s\n", results[0].Rows[0][0])
	}
}
