package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/pgparallel/pgparallel/protocol"
	"pgregory.net/rapid"
)

// countingWriter keeps what is written, write by write.
type countingWriter struct{ writes [][]byte }

func (w *countingWriter) Write(b []byte) (int, error) {
	w.writes = append(w.writes, bytes.Clone(b))
	return len(b), nil
}

// Each frame is one Write, and what pgproto3 makes of the same payload.
func TestFrameWriter_4_6(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 100).Draw(t, "size")
		var got, want countingWriter
		f := protocol.NewFrameWriter(&got, size)
		payload := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "payload")
		copy(f.Buffer(), payload)
		for from := 0; from < size; {
			to := rapid.IntRange(from+1, size).Draw(t, "to")
			if err := f.WriteFrame(from, to); err != nil {
				t.Fatal(err)
			}
			message, _ := (&pgproto3.CopyData{Data: payload[from:to]}).Encode(nil)
			want.Write(message)
			from = to
		}
		if diff := cmp.Diff(want.writes, got.writes); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestFrameWriterSize(t *testing.T) {
	for size, want := range map[int]int{
		-1: protocol.DefaultFrame, 0: protocol.DefaultFrame, 1: 1, 4096: 4096,
		protocol.MaxFrame: protocol.MaxFrame, protocol.MaxFrame + 1: protocol.MaxFrame,
	} {
		if got := len(protocol.NewFrameWriter(io.Discard, size).Buffer()); got != want {
			t.Errorf("size %d: buffer of %d bytes, want %d", size, got, want)
		}
	}
}

type shortWriter struct{}

func (shortWriter) Write(b []byte) (int, error) { return len(b) - 1, nil }

func TestFrameWriterErrors(t *testing.T) {
	broken := errors.New("broken")
	err := protocol.NewFrameWriter(brokenWriter{broken}, 8).WriteFrame(0, 8)
	if !errors.Is(err, broken) {
		t.Errorf("broken connection: %v", err)
	}
	wantText(t, "broken connection", err, "could not send copy data: broken")
	err = protocol.NewFrameWriter(shortWriter{}, 8).WriteFrame(0, 8)
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("short write: %v", err)
	}
}

func TestFrameWriterAllocations(t *testing.T) {
	f := protocol.NewFrameWriter(io.Discard, protocol.DefaultFrame)
	n := testing.AllocsPerRun(100, func() {
		if err := f.WriteFrame(0, protocol.DefaultFrame); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkFrameWriter(b *testing.B) {
	f := protocol.NewFrameWriter(io.Discard, protocol.DefaultFrame)
	b.SetBytes(protocol.DefaultFrame)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.WriteFrame(0, protocol.DefaultFrame); err != nil {
			b.Fatal(err)
		}
	}
}
