package client

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

// Who has waited longest is the next.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		if !turns.try() || turns.try() {
			t.Fatal("the first turn is not one's alone")
		}
		var order []int
		for i := range 5 {
			go func() {
				<-turns.ask()
				order = append(order, i)
				turns.pass()
			}()
			synctest.Wait() // it has asked
		}
		turns.pass()
		synctest.Wait()
		for i, got := range order {
			if got != i || len(order) != 5 {
				t.Fatalf("the order is %v", order)
			}
		}
		if !turns.try() {
			t.Error("the turn was not given back")
		}
	})
}

// A large member does not wait until another that is on its way is complete.
func TestArchive_LargeMembersDoNotWait(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "archive")
	must(t, err)
	a := newTarStream(f, Compression{Method: CompressionZstd})
	a.file, a.spill = f, func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "spill") }
	large := strings.Repeat("l", maxBatch+1)
	open := func(name string) *tarEntry {
		e, err := newTarEntry(a, &batches{}, tarHeader{name: name, kind: tarRegular, size: int64(len(large))})
		must(t, err)
		return e
	}
	first, second, third := open("first"), open("second"), open("third")
	for _, e := range []*tarEntry{third, second, first} {
		_, err := e.Add([]byte(large))
		must(t, err)
	}
	must(t, third.Discard())
	must(t, first.Finish(nil))
	must(t, second.Finish(nil))
	must(t, a.finish(&batches{}))
	got := members(t, decoded(t, []byte(read(t, f.Name())), a.compression))
	if len(got) != 2 || got["first"] != large || got["second"] != large {
		t.Errorf("%d members, with %d and %d bytes", len(got), len(got["first"]), len(got["second"]))
	}
}

// Who waits long for the turn has the server read from now and then.
func TestArchive_WaitingReadsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := 0
		a := newTarStream(io.Discard, Compression{})
		b := &batches{meanwhile: func() { called++ }}
		a.turns.try() // somebody else's
		go func() {
			time.Sleep(85 * time.Second)
			a.turns.pass()
		}()
		a.await(b)
		if called != 4 || !b.waited {
			t.Errorf("called %d times in 85 seconds, want 4", called)
		}
	})
}

// waitingSink has waited some times.
type waitingSink struct {
	output.Sink
	waits int
}

func (s *waitingSink) Meanwhile(func()) {}

func (s *waitingSink) HasWaited() bool {
	s.waits--
	return s.waits >= 0
}

// A connection that is lost because we have kept the server waiting is not held against
// the file, within reason.
func TestWorker_5_5_LostByOurWaiting(t *testing.T) {
	for waits, want := range map[int]int{0: maxAttempts, 8: 8 + maxAttempts, 1000: maxWaits + maxAttempts} {
		loseConnections(t, waits, want)
	}
}

// loseConnections loses one after the other over a file, the first of them after we have
// waited, until the worker gives up.
func loseConnections(t *testing.T, waits, want int) {
	t.Helper()
	var list output.Files
	list.Add(output.File{Path: "base/1/16384"})
	w := &worker{receiver: receiver{sink: &waitingSink{waits: waits}}}
	connect := func(context.Context) (*wire.Conn, error) {
		ours, theirs := net.Pipe()
		theirs.Close()
		return wire.NewConn(t.Context(), ours, func(*protocol.Error) {}), nil
	}
	w.conn, _ = connect(t.Context())
	w.transfer = &transfer{files: &list, queue: newQueue([]int32{0}), reconnect: connect, tell: func(EventLevel, string, ...any) {}}
	for attempt := 1; ; attempt++ {
		i, _ := w.queue.take(true)
		w.asked = []request{{index: i}}
		replaced, err := w.replace(t.Context(), &wire.LostError{Err: io.EOF})
		if replaced {
			continue
		}
		if attempt != want || err == nil {
			t.Errorf("gave up after %d attempts, want %d: %v", attempt, want, err)
		}
		return
	}
}
