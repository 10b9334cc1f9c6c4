package wire

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pgparallel/pgparallel/protocol"
)

// What was read ahead is found again afterwards, in order.
func TestReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := NewConn(t.Context(), ours, func(*protocol.Error) {})
		want := strings.Repeat("0123456789", 100_000) // 1 MB: four calls
		go theirs.Write([]byte(want))                 // ends when all is read

		for range 4 {
			c.ReadAhead()
		}
		if got := len(c.tap.ahead); got != len(want) {
			t.Errorf("%d bytes were read ahead, want %d", got, len(want))
		}
		var got strings.Builder
		part := make([]byte, 70_000)
		for got.Len() < len(want) {
			n, err := c.tap.Read(part)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(part[:n])
		}
		if got.String() != want {
			t.Error("what was read ahead comes back otherwise")
		}
		c.Abort()
		theirs.Close()
	})
}

// A server that says more than anybody wants to hear is left to its fate.
func TestReadAhead_Bound(t *testing.T) {
	c := NewConn(t.Context(), nil, nil)
	c.tap.ahead = make([]byte, readAheadMost)
	c.ReadAhead() // would read from a nil connection
	if len(c.tap.ahead) != readAheadMost {
		t.Errorf("%d bytes were read ahead", len(c.tap.ahead))
	}
	c.unbind()
}
