package livecluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParsePostmaster(t *testing.T) {
	got, err := parsePostmaster("12098\n/var/lib/postgresql/15/main\n1795343523\n5999\n/run/postgresql\n*\n  9979100    360505\nready   \n")
	if diff := cmp.Diff(postmaster{pid: 12098, started: "1795343523"}, got, cmp.AllowUnexported(postmaster{})); diff != "" || err != nil {
		t.Errorf("error %v, postmaster (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"", "12098\n", "12098\n/d\n1795343523\n", "x\n/d\n1\n2\n/s\n"} {
		if _, err := parsePostmaster(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func FuzzParsePostmaster(f *testing.F) {
	f.Add("12098\n/d\n1795343523\n5999\n/s\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePostmaster(text); err != nil && p.pid != 0 {
			t.Errorf("%q: %+v and error %v", text, p, err)
		}
	})
}

// TestMessageReader reads messages through buffers of any size: what is behind the
// message that was asked for is never touched.
func TestMessageReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 8).Draw(t, "bodies")
		read := rapid.IntRange(0, len(bodies)).Draw(t, "read")
		var stream []byte
		ends := []int{0}
		for _, body := range bodies {
			stream = binary.BigEndian.AppendUint32(append(stream, 'x'), uint32(4+len(body)))
			stream = append(stream, body...)
			ends = append(ends, len(stream))
		}
		source := bytes.NewReader(stream)
		r := &messageReader{r: source}
		var got []byte
		for len(got) < ends[read] {
			// Always asks for more than there is in the message.
			buffer := make([]byte, rapid.IntRange(1, 100).Draw(t, "size"))
			n, err := r.Read(buffer)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			got = append(got, buffer[:n]...)
			if len(stream)-source.Len() > nextEnd(ends, len(got)) {
				t.Fatalf("after %d bytes, %d were taken", len(got), len(stream)-source.Len())
			}
		}
		if !bytes.Equal(got, stream[:ends[read]]) || source.Len() != len(stream)-ends[read] {
			t.Fatalf("%d messages: %d bytes read, %d left", read, len(got), source.Len())
		}
	})
}

// nextEnd is the end of the message that the n-th byte lies in.
func nextEnd(ends []int, n int) int {
	for _, end := range ends {
		if end >= n {
			return end
		}
	}
	return n
}
