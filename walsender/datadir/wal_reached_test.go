package datadir

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/page"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestPostgres_4_6_WALReached reads the pages that a primary and its standby write under
// load, with segments recycled all the time: the WAL has come to the LSN of each.
func TestPostgres_4_6_WALReached(t *testing.T) {
	primary := postgres.Require(t).NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{
		"max_wal_size": "4MB", "min_wal_size": "2MB", "wal_keep_size": "4MB", "full_page_writes": "off", "bgwriter_delay": "10ms", "shared_buffers": "1MB",
	}})
	f := fixture{t: t}
	f.must(primary.Start(t.Context()))
	f.must(primary.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "1"))
	standby := primary.NewStandby(t)
	f.must(standby.Start(t.Context()))

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		_ = primary.Pgbench(ctx, "postgres", "-n", "-c", "4", "-T", "600") // it is ended
	}()
	defer func() { stop(); <-ended }()
	for _, c := range []*postgres.Cluster{primary, standby} {
		first := checkReached(t, c.Dir)
		for highest := first; highest-first < 1<<19; highest = checkReached(t, c.Dir) {
			_, err := c.SQL(t.Context(), "postgres", "CHECKPOINT")
			f.must(err)
		}
	}
}

// checkReached asks for the LSN of each whole page of the relations, and returns the
// highest.
func checkReached(t *testing.T, dir string) (highest protocol.LSN) {
	f := fixture{t: t, path: dir}
	d, err := OpenDir(dir, DirOptions{})
	f.must(err)
	defer d.Close()
	c, err := d.Control(t.Context())
	f.must(err)
	names, err := filepath.Glob(f.at("base/*/[1-9]*"))
	f.must(err)
	content := make([]byte, page.Size)
	for name := range slices.Values(names) {
		file, err := os.Open(name)
		if os.IsNotExist(err) {
			continue
		}
		f.must(err)
		newest := protocol.LSN(0)
		for err == nil {
			if _, err = io.ReadFull(file, content); err == nil && content[15] != 0 {
				newest = max(newest, page.LSN(content))
			}
		}
		f.must(file.Close())
		if reached, err := d.walReached(c, newest); err != nil || !reached {
			t.Errorf("%s: a page with LSN %v, and the WAL has not come there: %v", name, newest, err)
		}
		highest = max(highest, newest)
	}
	return highest
}
