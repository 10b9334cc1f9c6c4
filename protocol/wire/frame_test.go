package wire_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"github.com/pgparallel/pgparallel/protocol/wire"
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
		f := wire.NewFrameWriter(&got, size)
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
		-1: wire.DefaultFrame, 0: wire.DefaultFrame, 1: 1, 4096: 4096,
		wire.MaxFrame: wire.MaxFrame, wire.MaxFrame + 1: wire.MaxFrame,
	} {
		if got := len(wire.NewFrameWriter(io.Discard, size).Buffer()); got != want {
			t.Errorf("size %d: buffer of %d bytes, want %d", size, got, want)
		}
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

type shortWriter struct{}

func (shortWriter) Write(b []byte) (int, error) { return len(b) - 1, nil }

func TestFrameWriterErrors(t *testing.T) {
	broken := errors.New("broken")
	err := wire.NewFrameWriter(brokenWriter{broken}, 8).WriteFrame(0, 8)
	if !errors.Is(err, broken) {
		t.Errorf("broken connection: %v", err)
	}
	protocoltest.WantText(t, "broken connection", err, "could not send copy data: broken")
	err = wire.NewFrameWriter(shortWriter{}, 8).WriteFrame(0, 8)
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("short write: %v", err)
	}
}

func TestFrameWriterAllocations(t *testing.T) {
	f := wire.NewFrameWriter(io.Discard, wire.DefaultFrame)
	n := testing.AllocsPerRun(100, func() {
		if err := f.WriteFrame(0, wire.DefaultFrame); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkFrameWriter(b *testing.B) {
	f := wire.NewFrameWriter(io.Discard, wire.DefaultFrame)
	b.SetBytes(wire.DefaultFrame)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.WriteFrame(0, wire.DefaultFrame); err != nil {
			b.Fatal(err)
		}
	}
}

// A writer that is used anew writes to its new connection only.
func TestFrameWriterReset(t *testing.T) {
	var first, second bytes.Buffer
	f := wire.NewFrameWriter(&first, 8)
	f.Reset(&second)
	if err := f.WriteFrame(0, 8); err != nil || first.Len() != 0 || second.Len() != 5+8 {
		t.Errorf("wrote %d and %d bytes, %v", first.Len(), second.Len(), err)
	}
}
