package acceptance_test

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate stands between clients and a server, on a socket of its own. It passes all on,
// up to a certain query, which it holds back: the client is then known to be at that
// step of the backup, and stays there until the gate is opened.
type gate struct {
	socketDir string
	server    string // the path of its socket
	prefix    string // what the query begins with

	mu      sync.Mutex
	skip    int // queries of that kind that may pass
	conns   []net.Conn
	closed  bool
	running sync.WaitGroup

	reached chan struct{} // closed when the query is there
	opened  chan struct{} // closed to let it pass
}

// newGate makes a gate before a server for the n-th query, from 1, that begins with
// the prefix. It is closed when the test ends.
func newGate(t *testing.T, s *server, prefix string, n int) *gate {
	t.Helper()
	g := &gate{
		socketDir: socketDir(t),
		server:    filepath.Join(s.socketDir, ".s.PGSQL.5433"),
		prefix:    prefix,
		skip:      n - 1,
		reached:   make(chan struct{}),
		opened:    make(chan struct{}),
	}
	l, err := net.Listen("unix", filepath.Join(g.socketDir, ".s.PGSQL.5433"))
	must(t, err)
	g.running.Go(func() { g.accept(l) }) // ends with the listener
	t.Cleanup(func() {
		l.Close()
		g.hangUp() // before it is opened: what it holds back must not pass
		g.open()
		g.running.Wait()
	})
	return g
}

// wait waits until the query is there, which the client must not end before.
func (g *gate) wait(t *testing.T, client *process) {
	t.Helper()
	select {
	case <-g.reached:
	case <-client.ended:
		t.Fatalf("the backup ended before %q", g.prefix)
	case <-time.After(patience):
		t.Fatalf("the backup does not come to %q", g.prefix)
	}
}

// open lets the query pass.
func (g *gate) open() {
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", g.server)
		if err != nil {
			client.Close()
			continue
		}
		if !g.keep(client, server) {
			return
		}
		g.running.Go(func() { // ends with either connection
			io.Copy(client, server)
			client.Close()
		})
		g.running.Go(func() { // ends with either connection, and when the gate is opened
			g.pass(client, server)
			server.Close()
		})
	}
}

// keep takes note of connections that hangUp closes.
func (g *gate) keep(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.conns = append(g.conns, conns...)
		return true
	}
	for _, c := range conns {
		c.Close()
	}
	return false
}

func (g *gate) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.conns {
		c.Close()
	}
}

// pass passes the client's messages on: the startup packet, which has no type, and
// then one by one.
func (g *gate) pass(client, server net.Conn) {
	header := 4
	for {
		message := make([]byte, header)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint32(message[header-4:]))
		message = append(message, make([]byte, length-4)...)
		if _, err := io.ReadFull(client, message[header:]); err != nil {
			return
		}
		if header == 5 && message[0] == 'Q' && g.isNext(string(message[header:])) {
			close(g.reached)
			<-g.opened
		}
		if _, err := server.Write(message); err != nil {
			return
		}
		header = 5
	}
}

// isNext reports whether the query is the one to hold back, and counts it.
func (g *gate) isNext(query string) bool {
	if !strings.HasPrefix(query, g.prefix) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.skip--
	return g.skip == -1
}
