package datadir_test

import (
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// cpuTime is what the process has taken of the processors so far: on a machine that has other
// work its share is all that a benchmark can tell.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The cost of a row of LIST_FILES, in a cluster of 100,000 small files.
func BenchmarkFiles(b *testing.B) {
	c, _ := sample(b, walsendertest.Sample{SmallFiles: 100000}, datadir.Options{})
	for _, recovery := range []bool{false, true} {
		name := "every fork"
		if recovery {
			name = "without unlogged relations"
		}
		b.Run(name, func(b *testing.B) {
			c.RecoveryOnRestore = recovery
			b.ReportAllocs()
			rows, before := 0, cpuTime(b)
			var message []byte
			for b.Loop() {
				for f, err := range c.Files(b.Context(), "", nil) {
					must(b, err)
					message = wire.AppendFileRow(message[:0], f)
					rows++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
			b.ReportMetric(float64(cpuTime(b)-before)/float64(rows), "cpu-ns/row")
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
