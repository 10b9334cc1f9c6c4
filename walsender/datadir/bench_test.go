package datadir_test

import (
	"io"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// The cost of a row of LIST_FILES, in a cluster of 20,000 small files.
func BenchmarkFiles(b *testing.B) {
	c, _ := sample(b, walsendertest.Sample{SmallFiles: 20000}, datadir.Options{})
	for _, recovery := range []bool{false, true} {
		name := "every fork"
		if recovery {
			name = "without unlogged relations"
		}
		b.Run(name, func(b *testing.B) {
			c.RecoveryOnRestore = recovery
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				for _, err := range c.Files(b.Context(), "", nil) {
					must(b, err)
					rows++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}

// The cost of opening a file, reading its 80 kB, and closing it.
func BenchmarkOpen(b *testing.B) {
	location := b.TempDir()
	c, _ := sample(b, walsendertest.Sample{
		Tablespaces: []walsendertest.SampleTablespace{{OID: 16500, Location: location}},
	}, datadir.Options{})
	var inTablespace string
	for f, err := range c.Files(b.Context(), "16500", nil) {
		must(b, err)
		if f.Size == 81920 {
			inTablespace = f.Path
		}
	}
	buffer := make([]byte, 128<<10)
	for name, path := range map[string]string{
		"data directory": "base/5/20000", "tablespace": inTablespace, "WAL": "pg_wal/000000010000000000000002", "pg_control": "global/pg_control",
	} {
		for _, read := range []bool{false, true} {
			title := name
			if read {
				title += ", read"
			}
			b.Run(title, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f, err := c.Open(b.Context(), path, protocol.OpenOptions{VerifyChecksums: true, Notice: func(e *protocol.Error) { b.Error(e) }})
					must(b, err)
					for read && err != io.EOF {
						_, err = f.Read(buffer)
					}
					must(b, f.Close())
				}
			})
		}
	}
}
