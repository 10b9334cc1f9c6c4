package spool_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/internal/spool"
)

// TestSpool keeps little in memory and much in a file, of which nothing is left.
func TestSpool(t *testing.T) {
	for _, size := range []int{0, 1, spool.InMemory, spool.InMemory + 1, 3*spool.InMemory + 5} {
		temporary := t.TempDir()
		t.Setenv("TMPDIR", temporary)
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i % 251)
		}
		var s spool.Spool
		for rest := want; len(rest) > 0; {
			n, err := s.Write(rest[:min(len(rest), 1<<20)])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
			t.Errorf("%d bytes: %v, %v are seen", size, left, err)
		}
		var got bytes.Buffer
		if n, err := s.WriteTo(&got); err != nil || n != int64(size) {
			t.Errorf("%d bytes: wrote %d, %v", size, n, err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes: others came back", size)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSpool_NoRoom has nowhere to write a file.
func TestSpool_NoRoom(t *testing.T) {
	t.Setenv("TMPDIR", "/nonexistent")
	var s spool.Spool
	defer s.Close()
	if _, err := s.Write(make([]byte, spool.InMemory+1)); err == nil {
		t.Error("no error")
	}
}
