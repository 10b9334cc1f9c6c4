package main

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// stuckCluster is a cluster in which a call does not come to its end, whatever the
// context says, as when a file system does not answer.
type stuckCluster struct {
	walsender.Cluster
	entered, release chan struct{}
}

func (stuckCluster) Directory() string { return "stuck" }

func (c stuckCluster) Settings(context.Context) (protocol.Settings, error) {
	close(c.entered)
	<-c.release
	return protocol.Settings{}, os.ErrClosed
}

// While a fast shutdown waits, a second signal at once, as timeout(1) sends it, changes
// nothing; a deliberate one makes it an immediate one.
func TestShutDown_SecondSignal(t *testing.T) {
	cluster := stuckCluster{entered: make(chan struct{}), release: make(chan struct{})}
	server := &walsender.Server{Cluster: cluster}
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	must(t, err)
	served := make(chan struct{})
	go func() { // ends with the server
		defer close(served)
		_ = server.Serve(listener) // always ErrServerClosed
	}()
	conn, err := net.Dial("unix", listener.Addr().String())
	must(t, err)
	defer conn.Close()
	packet := append(binary.BigEndian.AppendUint32(nil, 3<<16), "user\x00u\x00replication\x00true\x00\x00"...)
	_, err = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(packet))), packet...))
	must(t, err)
	<-cluster.entered

	signals, ended := make(chan os.Signal), make(chan struct{})
	go func() { // ends with the shutdown
		defer close(ended)
		shutDown(server, unix.SIGTERM, signals, zap.NewNop())
	}()
	signals <- unix.SIGTERM
	select {
	case <-ended:
		t.Error("a second signal at once ends the shutdown")
	case <-time.After(deliberate + 100*time.Millisecond):
	}
	select {
	case signals <- unix.SIGTERM:
		<-ended
	case <-ended:
		t.Error("the shutdown ended by itself")
	}
	close(cluster.release)
	server.Close()
	<-served
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
