package client

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
)

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
