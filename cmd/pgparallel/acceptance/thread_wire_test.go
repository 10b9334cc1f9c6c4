package acceptance_test

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// wire stands between clients and a server, on a socket of its own. It passes all on
// until a certain number of bytes has come from the server; then it strikes, once,
// before it passes on the next.
type wire struct {
	socketDir string
	server    string // the path of its socket
	watched   int    // the connection whose bytes count, from 1; 0: those of all
	after     int64  // so many of them
	strike    func(w *wire, client, server net.Conn)

	mu      sync.Mutex
	passed  int64 // bytes that counted
	struck  bool
	conns   []net.Conn
	closed  chan struct{}
	running sync.WaitGroup
}

// lay lays a wire to a server. It is closed when the test ends.
func (w *wire) lay(t *testing.T, s *server) {
	t.Helper()
	w.socketDir, w.server = socketDir(t), filepath.Join(s.socketDir, ".s.PGSQL.5433")
	w.closed = make(chan struct{})
	l, err := net.Listen("unix", filepath.Join(w.socketDir, ".s.PGSQL.5433"))
	must(t, err)
	w.running.Go(func() { w.accept(l) }) // ends with the listener
	t.Cleanup(func() {
		l.Close()
		close(w.closed)
		w.cutAll()
		w.running.Wait()
	})
}

func (w *wire) accept(l net.Listener) {
	for number := 1; ; number++ {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", w.server)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		w.running.Go(func() { // ends with either connection, and with the wire
			w.pass(number, client, server)
			client.Close()
			server.Close()
		})
		w.running.Go(func() { // ends with either connection
			io.Copy(server, client)
			server.Close()
		})
		select {
		case <-w.closed: // it may have missed these
			w.cutAll()
		default:
		}
	}
}

// pass passes on what the server sends.
func (w *wire) pass(number int, client, server net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := server.Read(buffer)
		before, strikes := w.count(number, n)
		if _, err := client.Write(buffer[:before]); err != nil {
			return
		}
		if strikes {
			w.strike(w, client, server)
		}
		if _, failure := client.Write(buffer[before:n]); failure != nil || err != nil {
			return
		}
	}
}

// count counts n bytes, and says how many of them pass before the wire strikes, if it
// does so now: else all.
func (w *wire) count(number, n int) (before int, strikes bool) {
	if w.watched != 0 && w.watched != number {
		return n, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.after - w.passed
	w.passed += int64(n)
	if w.strike == nil || w.struck || left > int64(n) {
		return n, false
	}
	w.struck = true
	return int(left), true
}

// total is how many bytes have counted.
func (w *wire) total() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passed
}

func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
}

// hasStruck reports whether the wire has struck, or is about to.
func (w *wire) hasStruck() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.struck
}
