package walsender_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// BenchmarkListFiles_8_3 lists an unchanged cluster of 256 MiB with its digests: without a cache,
// as the first time, and from it. The second has to take a twentieth of the first at most.
func BenchmarkListFiles_8_3(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	if err := (walsendertest.Sample{WALSegmentSize: 1 << 20, Relations: 4, RelationPages: 2700}).Write(dir); err != nil {
		b.Fatal(err)
	}
	cluster := &agedCluster{dir: dir}
	var err error
	if cluster.Stopped, err = datadir.Open(dir, datadir.Options{}); err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	total := int64(0)
	_ = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	for _, a := range []manifest.ChecksumAlgorithm{manifest.ChecksumCRC32C, manifest.ChecksumSHA256} {
		for _, kept := range []bool{false, true} {
			b.Run(fmt.Sprintf("%v/kept=%v", a, kept), func(b *testing.B) {
				s := &walsender.Server{Cluster: cluster}
				if kept {
					if s.Digests, err = walsender.NewDigestCache(walsender.DefaultDigestCache); err != nil {
						b.Fatal(err)
					}
					defer s.Digests.Close()
				}
				c := newDigestClient(b, serve(b, s))
				command := "LIST_FILES CHECKSUM '" + a.String() + "'"
				for opens := int64(-1); kept && opens != cluster.opens.Load(); {
					opens = cluster.opens.Load()
					c.list(command, a)
				}
				b.SetBytes(total)
				for b.Loop() {
					c.list(command, a)
				}
			})
		}
	}
}
