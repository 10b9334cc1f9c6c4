package client

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/protocol/wire"
)

// Who waits long for its turn reads ahead, and finds it again afterwards, in order.
func TestArchive_WaitingReadsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		taken := &tap{conn: ours}
		c := &conn{net: ours, tap: taken, frames: wire.NewFrameReader(taken, maxMessage)}
		want := strings.Repeat("0123456789", 100_000) // 1 MB: four intervals
		go theirs.Write([]byte(want))                 // ends when all is read

		var out strings.Builder
		a := newTarStream(&out, Compression{})
		b := &batches{meanwhile: c.readAhead}
		a.turns.try() // somebody else's
		go func() {
			time.Sleep(85 * time.Second)
			a.turns.pass()
		}()
		a.await(b)
		if got := len(taken.ahead); got != len(want) {
			t.Errorf("%d bytes were read ahead, want %d", got, len(want))
		}
		var got strings.Builder
		part := make([]byte, 70_000)
		for got.Len() < len(want) {
			n, err := taken.Read(part)
			must(t, err)
			got.Write(part[:n])
		}
		if got.String() != want {
			t.Error("what was read ahead comes back otherwise")
		}
		ours.Close()
		theirs.Close()
	})
}
