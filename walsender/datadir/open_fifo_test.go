package datadir

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
)

// A writer that waits at a FIFO in the data directory goes on waiting: it would be let
// go, and get SIGPIPE, if the FIFO were opened to see what it is.
func TestOpen_4_6_FIFOIsNotOpened(t *testing.T) {
	f := newFixture(t, validControl())
	for _, name := range []string{"fifo", "log/fifo", "base/5/1", "pg_xact/0000", "pg_wal/00000002.history"} {
		f.must(os.MkdirAll(f.at("log"), 0o700))
		f.must(os.MkdirAll(f.at("pg_xact"), 0o700))
		f.must(unix.Mkfifo(f.at(name), 0o600))
		opened := make(chan error, 1)
		go func() { // ends when the test opens the FIFO below
			w, err := os.OpenFile(f.at(name), os.O_WRONLY, 0)
			if err == nil {
				err = w.Close()
			}
			opened <- err
		}()
		time.Sleep(20 * time.Millisecond) // until the writer waits: nothing shows it
		d := f.open()
		if _, err := d.Open(t.Context(), name, protocol.OpenOptions{}); code(err) != protocol.CodeInsufficientPrivilege {
			t.Errorf("%s: error %v, want 42501", name, err)
		}
		_, _ = d.TimelineHistory(t.Context(), 2)
		for range d.Files(t.Context(), "", func(*protocol.Error) {}) {
		}
		select {
		case <-opened:
			t.Errorf("%s: the writer was let go", name)
			continue
		case <-time.After(20 * time.Millisecond):
		}
		r, err := os.OpenFile(f.at(name), os.O_RDONLY, 0)
		f.must(err)
		f.must(<-opened)
		f.must(r.Close())
	}
}
