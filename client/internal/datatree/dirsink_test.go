package datatree

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// newEntry creates a file below a directory of the test.
func newEntry(t testing.TB, path string) (e output.Entry, name string) {
	t.Helper()
	tree := claimedTree(t, filepath.Join(t.TempDir(), "copy"))
	t.Cleanup(tree.close)
	e, err := tree.Sink().Create(&output.File{Path: path}, "file")
	if err != nil {
		t.Fatal(err)
	}
	return e, filepath.Join(tree.Dir, "file")
}

// onDisk is how many bytes of a file are there.
func onDisk(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	outputtest.Must(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// Whatever arrives in whatever pieces is in the file, and zeros are not on disk.
func TestDirSink_Holes(t *testing.T) {
	hole, data := strings.Repeat("\x00", holeSize), strings.Repeat("d", holeSize)
	for _, content := range []string{
		"", "\x00", "d", hole, hole[1:], data, hole + hole, hole + data, data + hole, data + hole + data, hole + "d" + hole,
		"d" + hole, "d" + hole + hole, data + hole + hole[1:], hole + hole + "\x00", strings.Repeat(hole, 40) + data,
	} {
		for _, piece := range []int{100, holeSize, 2 * holeSize, 1 << 20} {
			e, name := newEntry(t, "core.4711")
			for rest := content; rest != ""; rest = rest[min(piece, len(rest)):] {
				_, err := e.Add([]byte(rest[:min(piece, len(rest))]))
				outputtest.Must(t, err)
			}
			outputtest.Must(t, e.Finish(io.Discard))
			if got := outputtest.Read(t, name); got != content {
				t.Errorf("%d bytes in pieces of %d: %d others", len(content), piece, len(got))
			}
		}
	}
}

func TestDirSink_HolesAreNotOnDisk(t *testing.T) {
	content := make([]byte, 8<<20)
	copy(content[1<<20:], "something")
	for path, least := range map[string]int64{"core.4711": 0, "base/5/16384": 0, "pg_wal/000000010000000000000001": int64(len(content))} {
		e, name := newEntry(t, path)
		for piece := range slices.Chunk(content, 128<<10) {
			_, err := e.Add(piece)
			outputtest.Must(t, err)
		}
		outputtest.Must(t, e.Finish(io.Discard))
		if got := onDisk(t, name); got < least || least == 0 && got > 1<<20 {
			t.Errorf("%s: %d bytes are on disk", path, got)
		}
	}
}

// What looking for holes costs where there are none, and where WAL goes without.
func BenchmarkDirSink(b *testing.B) {
	content := make([]byte, 128<<10)
	rand.NewChaCha8([32]byte{1}).Read(content)
	for _, path := range []string{"base/5/16384", "pg_wal/000000010000000000000001"} {
		b.Run(path, func(b *testing.B) {
			e, name := newEntry(b, path)
			b.SetBytes(int64(len(content)))
			for i := 0; b.Loop(); i++ {
				if _, err := e.Add(content); err != nil {
					b.Fatal(err)
				}
				if i%512 == 511 { // 64 MiB
					if err := os.Truncate(name, 0); err != nil {
						b.Fatal(err)
					}
					e.(*dirEntry).out.asFile(name).Seek(0, io.SeekStart)
				}
			}
		})
	}
}
