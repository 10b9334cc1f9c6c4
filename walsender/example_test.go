package walsender_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/grammar"
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

// onlyCertificates lets in who has a certificate of the name of the role.
type onlyCertificates struct{}

func (onlyCertificates) Authenticate(_ context.Context, h *walsender.Handshake) (walsender.Grant, error) {
	if h.TLS == nil || len(h.TLS.VerifiedChains) == 0 || h.TLS.PeerCertificates[0].Subject.CommonName != h.User {
		return walsender.Grant{}, protocol.Fatalf(protocol.CodeInvalidAuthorization, "role %q needs a certificate", h.User)
	}
	return walsender.Grant{Backup: true, Identity: h.User, Method: "certificate"}, nil
}

// An authenticator of one's own: only clients with certificates are let in, and only to
// take backups.
func ExampleAuthenticator() {
	server := &walsender.Server{Cluster: walsendertest.Primary(), Authenticator: onlyCertificates{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	address := listener.Addr().(*net.TCPAddr)
	_, err = pgconn.Connect(context.Background(), fmt.Sprintf("host=127.0.0.1 port=%d user=bob sslmode=disable replication=true", address.Port))
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		fmt.Println(refused)
	}
	server.Close()
	<-served
	// Output: FATAL: role "bob" needs a certificate (SQLSTATE 28000)
}

// Commands leaves out what a server is not for. This one is for pg_basebackup alone.
func ExampleServer_commands() {
	server := &walsender.Server{Cluster: walsendertest.Primary(), Commands: walsender.BaseBackup}
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
	for _, command := range []string{"IDENTIFY_SYSTEM", "START_BACKUP", "BASE_BACKUP (TARGET 'server')"} {
		_, err := conn.Exec(ctx, command).ReadAll()
		fmt.Printf("%s: %v\n", command, err)
	}
	conn.Close(ctx)
	server.Close()
	<-served
	// Output:
	// IDENTIFY_SYSTEM: <nil>
	// START_BACKUP: ERROR: unrecognized replication command "START_BACKUP" (SQLSTATE 0A000)
	// BASE_BACKUP (TARGET 'server'): ERROR: target "server" requires a target detail (SQLSTATE 42601)
}

// Authorize sees each command before it runs. Here it allows one role to back up: by
// START_BACKUP and JOIN_BACKUP, and by PostgreSQL's own BASE_BACKUP, which a cluster with a
// pass-through would run. The text is parsed, as the server does it: blanks and letters
// in lower case change nothing. Who may call himself "backup" is up to an Authenticator.
func ExampleServer_authorize() {
	server := &walsender.Server{
		Cluster: walsendertest.Primary(),
		Authorize: func(_ context.Context, s walsender.Caller, command string) error {
			switch grammar.Verb(command) {
			case "START_BACKUP", "JOIN_BACKUP", "BASE_BACKUP":
			default:
				return nil
			}
			if s.User != "backup" {
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
	for _, command := range []string{"IDENTIFY_SYSTEM", " start_backup fast", "BASE_BACKUP"} {
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
	//  start_backup fast: ERROR: role "bob" may not take backups (SQLSTATE 42501)
	// BASE_BACKUP: ERROR: role "bob" may not take backups (SQLSTATE 42501)
	// walsender: server closed
}
