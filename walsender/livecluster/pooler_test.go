package livecluster_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// proxyKey is a proxy to the cluster, on a socket in dir, that tells clients another
// process id than the server's, as a connection pooler does.
func proxyKey(t testing.TB, c *postgres.Cluster, dir string) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	must(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			pool(t, c, conn)
		}
	}()
}

// pool serves one connection.
func pool(t testing.TB, c *postgres.Cluster, client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", filepath.Join(c.SocketDir, ".s.PGSQL.5432"))
	if err != nil {
		t.Error(err)
		return
	}
	go func() { // ends with the client's connection
		_, _ = io.Copy(server, client) // the other direction tells
		server.Close()
	}()
	in := pgproto3.NewFrontend(server, io.Discard)
	for {
		m, err := in.Receive()
		if err != nil {
			return
		}
		if key, ok := m.(*pgproto3.BackendKeyData); ok {
			key.ProcessID++
		}
		encoded, err := m.Encode(nil)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := client.Write(encoded); err != nil {
			return
		}
	}
}

// row runs a command and returns its only row as text.
func row(t testing.TB, conn *pgconn.PgConn, text string) string {
	t.Helper()
	results, err := command(t, conn, text)
	must(t, err)
	if len(results) != 1 || len(results[0].Rows) != 1 {
		t.Fatalf("%s: %d results", text, len(results))
	}
	var values []string
	for _, v := range results[0].Rows[0] {
		values = append(values, string(v))
	}
	return strings.Join(values, "|")
}
