package datadir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var _ walsender.Reopener = (*datadir.Stopped)(nil)

// reopened is the cluster that the path leads to now, until the test ends.
func reopened(t *testing.T, c *datadir.Stopped) *datadir.Stopped {
	t.Helper()
	cluster, release, err := c.Reopen(t.Context())
	must(t, err)
	t.Cleanup(release)
	return cluster.(*datadir.Stopped)
}

// TestReopen_4_1 replaces a directory: who has it open stays with it, but no backup of
// it can begin or end; who asks anew gets the other.
func TestReopen_4_1(t *testing.T) {
	c, dir := sample(t, walsendertest.Sample{}, datadir.Options{})
	before := reopened(t, c)
	if before.Directory() != c.Directory() {
		t.Errorf("the directory is %s, was %s", before.Directory(), c.Directory())
	}
	_, backup, err := before.StartBackup(t.Context(), request(nil))
	must(t, err)

	must(t, os.Rename(dir, dir+".old"))
	_, _, err = c.Reopen(t.Context())
	wantCode(t, err, "57P03")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20}.Write(dir))
	must(t, os.WriteFile(filepath.Join(dir, "new"), nil, 0o600))

	after := reopened(t, before)
	if after.Directory() == before.Directory() || reopened(t, c).Directory() != after.Directory() {
		t.Errorf("the directories are %s and %s", before.Directory(), after.Directory())
	}
	for cluster, want := range map[*datadir.Stopped]string{before: "58P01", after: ""} {
		file, err := cluster.Open(t.Context(), "new", protocol.OpenOptions{})
		if err == nil {
			must(t, file.Close())
		}
		if want == "" {
			must(t, err)
		} else {
			wantCode(t, err, want)
		}
	}
	_, err = backup.Stop(t.Context(), true, nil)
	wantCode(t, err, "55000")
	_, _, err = before.StartBackup(t.Context(), request(nil))
	wantCode(t, err, "55000")
	_, backup, err = after.StartBackup(t.Context(), request(nil))
	must(t, err)
	_, err = backup.Stop(t.Context(), true, nil)
	must(t, err)
}

// TestReopen_Descriptors replaces a directory many times: what nobody uses any more is
// closed.
func TestReopen_Descriptors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{}.Write(dir))
	c, err := datadir.Open(dir, datadir.Options{})
	must(t, err)
	before := descriptors(t)
	for range 20 {
		must(t, os.RemoveAll(dir))
		must(t, walsendertest.Sample{}.Write(dir))
		_, release, err := c.Reopen(t.Context())
		must(t, err)
		release()
		release() // once is enough
	}
	if n := descriptors(t); n > before+1 { // the latest
		t.Errorf("%d descriptors are open, %d before", n, before)
	}
	must(t, c.Close())
	if n := descriptors(t); n != before-1 {
		t.Errorf("%d descriptors are open at the end", n)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}
