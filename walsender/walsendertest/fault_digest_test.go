package walsendertest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A server that tells old digests tells the right one at first, and the same when the file has
// changed.
func TestFault_8_3_OldDigests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20}.Write(dir))
	digests := func(faults ...walsendertest.Fault) (first, second string) {
		cluster, err := datadir.Open(dir, datadir.Options{})
		must(t, err)
		defer cluster.Close()
		server := &walsendertest.Server{Cluster: cluster, Faults: faults}
		server.StartTest(t)
		config, err := server.ConnConfig()
		must(t, err)
		config.RuntimeParams = map[string]string{"replication": "true"}
		conn, err := pgconn.ConnectConfig(t.Context(), config)
		must(t, err)
		defer conn.Close(context.Background())
		digest := func() string {
			results, err := conn.Exec(t.Context(), "LIST_FILES CHECKSUM 'CRC32C'").ReadAll()
			must(t, err)
			for _, row := range results[0].Rows {
				if string(row[0]) == "postgresql.conf" {
					return string(row[4])
				}
			}
			t.Fatal("no postgresql.conf")
			return ""
		}
		first = digest()
		f, err := os.OpenFile(filepath.Join(dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString("# changed\n")
		must(t, err)
		must(t, f.Close())
		return first, digest()
	}
	if first, second := digests(); first == second {
		t.Error("a change is not seen")
	}
	if first, second := digests(walsendertest.OldDigests()); first != second {
		t.Error("a change is seen")
	}
}
