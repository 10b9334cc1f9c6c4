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

// The third session that connects is turned away, and a file that the second asks for breaks
// off. In a test, a fault that does not happen fails it.
func ExampleServer_faults() {
	server := &walsendertest.Server{
		Faults: []walsendertest.Fault{
			walsendertest.RefuseConnection(3, walsendertest.TooManySenders),
			walsendertest.CutFile("base/5/20001", 1000),
		},
	}
	if err := server.Start(); err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	ask(server, "SHOW server_version")
	ask(server, "START_BACKUP", "SEND_FILE ('base/5/20001')")
	ask(server, "SHOW server_version")
	fmt.Println("did not happen:", server.Unused())
	// Output:
	// 15.0
	// the answer broke off
	// FATAL 53300
	// did not happen: []
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

// ask connects, runs the commands, and prints the first value of the last one, or how that
// failed.
func ask(server *walsendertest.Server, commands ...string) {
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
	var results []*pgconn.Result
	for _, command := range commands {
		results, err = conn.Exec(ctx, command).ReadAll()
	}
	switch {
	case conn.IsClosed():
		fmt.Println("the answer broke off")
	case err == nil:
		fmt.Printf("%s\n", results[0].Rows[0][0])
	}
}
