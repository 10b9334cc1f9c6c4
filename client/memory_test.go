package client

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// What is kept of many files, from their rows to the manifest, stays below 300 MB for a
// million of them, even while the garbage collector lets the heap grow to twice of what
// is alive.
func TestMemory(t *testing.T) {
	const files, most = 200_000, 300 << 20 / 5 // a fifth of a million
	before := liveHeap()
	p := newListingChecker(150000, nil)
	must(t, p.add(0, protocol.File{Path: "base", Type: protocol.TypeDirectory}))
	must(t, p.add(0, protocol.File{Path: "global", Type: protocol.TypeDirectory}))
	must(t, p.add(0, protocol.File{Path: "base/16384", Type: protocol.TypeDirectory}))
	add := func(path string, size int64) {
		f, err := protocol.DecodeFile(protocol.File{Path: path, Type: protocol.TypeFile, Size: size, ModTime: fakeTime}.Row())
		must(t, err)
		must(t, p.add(0, f))
	}
	for i := range files {
		add(fmt.Sprintf("base/16384/%d", 1_000_000+i*7%files), int64(i%8)*8192)
	}
	add("PG_VERSION", 3)
	add(output.ControlFile, 8192)
	plan, err := p.finish()
	must(t, err)
	queue := newQueue(plan.Files.Sorted(output.LargestFirst))
	for i := range int32(plan.Files.Len()) {
		plan.Files.At(i).Checksum = string([]byte{byte(i), byte(i >> 8), byte(i >> 16), 0})
	}
	plan.Control.Checksum = "sum!"
	kept := liveHeap() - before
	t.Logf("%d files take %d MB", plan.Files.Len(), kept>>20)
	if 2*kept > most {
		t.Errorf("%d bytes are kept, which is more than half of %d", kept, most)
	}
	m := manifest.NewWriter(io.Discard, manifest.Options{Version: 1})
	must(t, contents{plan, nil}.each(func(f *output.File) error {
		return m.AddFile(manifest.File{Path: f.Path, Size: f.Size, Algorithm: manifest.ChecksumCRC32C, Checksum: []byte(f.Checksum)})
	}))
	must(t, m.Close())
	if now := liveHeap() - before; now > kept+1<<20 {
		t.Errorf("the manifest takes %d MB more", (now-kept)>>20)
	}
	runtime.KeepAlive(queue)
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
