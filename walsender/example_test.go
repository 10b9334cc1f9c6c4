package walsender_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// The cluster in a data directory whose server is stopped, on a Unix socket.
func Example() {
	cluster, err := datadir.Open("/srv/pg/main", datadir.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	listener, err := walsender.ListenUnix("/srv/pg/run", 5433)
	if err != nil {
		log.Fatal(err)
	}
	server := &walsender.Server{Cluster: cluster}
	log.Fatal(server.Serve(listener))
}

// Authorize sees each command before it runs. Here it allows one role to back up.
func ExampleServer_authorize() {
	server := &walsender.Server{
		Cluster: walsendertest.Primary(),
		Authorize: func(_ context.Context, s walsender.Caller, command string) error {
			if strings.HasPrefix(strings.ToUpper(command), "START_BACKUP") && s.User != "backup" {
				return protocol.Errorf(protocol.CodeInsufficientPrivilege, "role %q may not take backups", s.User)
			}
			return nil
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	ctx := context.Background()
	address := listener.Addr().(*net.TCPAddr)
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=bob sslmode=disable replication=true", address.Port))
	if err != nil {
		log.Fatal(err)
	}
	for _, command := range []string{"IDENTIFY_SYSTEM", "START_BACKUP FAST"} {
		_, err := conn.Exec(ctx, command).ReadAll()
		fmt.Printf("%s: %v\n", command, err)
	}
	conn.Close(ctx)

	if err := server.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// IDENTIFY_SYSTEM: <nil>
	// START_BACKUP FAST: ERROR: role "bob" may not take backups (SQLSTATE 42501)
	// walsender: server closed
}
