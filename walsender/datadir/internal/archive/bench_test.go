package archive

import (
	"archive/tar"
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/datadir/internal/beneath"
)

// The cost of a member, in time and in memory, of an archive with 100,000 of 8 kB.
func BenchmarkOpen(b *testing.B) {
	const members = 100_000
	dir := b.TempDir()
	f, err := os.Create(filepath.Join(dir, "base.tar"))
	must(b, err)
	out := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(out)
	content := make([]byte, 8192)
	for i := range members {
		must(b, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("base/%d/%d", i/1000, 16384+i), Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o600}))
		_, err := w.Write(content)
		must(b, err)
	}
	must(b, w.Close())
	must(b, out.Flush())
	must(b, f.Close())
	var root *Root
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		in, err := beneath.OpenRoot(dir)
		must(b, err)
		root, err = Open(in)
		must(b, err)
		runtime.GC()
		runtime.ReadMemStats(&after)
		must(b, root.Close())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/member")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/members, "B/member")

}
