package wire

import (
	"bytes"
	"testing"
	"unsafe"
)

func placeInPage(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) % pageBytes }

// Payloads lie at a page's boundary at both ends, whatever the allocator does: the writer's
// buffer, and each large body of the reader, also the one that came with its header.
func TestAlignment(t *testing.T) {
	for size := range 3 * pageBytes {
		whole, start := pageAligned(size)
		if size > 0 && placeInPage(whole[start:]) != 0 || start < frameHeader || len(whole) != start+size {
			t.Fatalf("size %d: starts at %d of %d, at %d in its page", size, start, len(whole), placeInPage(whole[start:]))
		}
	}
	var sent bytes.Buffer
	w := NewFrameWriter(&sent, 0)
	if place := placeInPage(w.Buffer()); place != 0 {
		t.Errorf("the writer's buffer begins at %d in its page", place)
	}
	sent.WriteString("Z\x00\x00\x00\x05I")
	for range 3 {
		if err := w.WriteFrame(0, DefaultFrame); err != nil {
			t.Fatal(err)
		}
	}
	r := NewFrameReader(&sent, MaxFrame)
	for i := range 4 {
		_, body, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if place := placeInPage(body); i > 0 && place != 0 {
			t.Errorf("frame %d begins at %d in its page", i, place)
		}
	}
}
