package client

import (
	"fmt"
	"net"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
)

// ServeOn runs the server on the listener until the test ends.
func ServeOn(t *testing.T, listener net.Listener, server *walsender.Server) {
	t.Helper()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // always ErrServerClosed
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
}

// ServeTCP runs the server on a port of its own until the test ends.
func ServeTCP(t *testing.T, server *walsender.Server) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ServeOn(t, listener, server)
	return listener.Addr()
}

// serveDSN is ServeTCP, and tells how another process gets there.
func serveDSN(t *testing.T, server *walsender.Server) string {
	t.Helper()
	return fmt.Sprintf("host=127.0.0.1 port=%d user=u sslmode=disable", ServeTCP(t, server).(*net.TCPAddr).Port)
}
