package walsendertest_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// The listing of a sample is what lies there, without what LeftOut names and
// without the files of pg_wal.
func TestSample_Listing_4_5(t *testing.T) {
	base := t.TempDir()
	sample, dir := rich(base), filepath.Join(base, "data")
	must(t, sample.Write(dir))
	cluster, err := datadir.Open(dir, datadir.Options{})
	must(t, err)
	defer cluster.Close()

	got := listing(t, cluster, "")
	if last := got[len(got)-1]; last != "global/pg_control" {
		t.Errorf("the last row is %s", last)
	}
	got = append(got, listing(t, cluster, "16500")...)
	got = append(got, listing(t, cluster, "16501")...)

	want := paths(t, dir, "")
	want = append(want, paths(t, sample.Tablespaces[0].Location, "pg_tblspc/16500/")...)
	leftOut := sample.LeftOut()
	want = slices.DeleteFunc(want, func(name string) bool {
		inWAL := strings.HasPrefix(name, "pg_wal/") && name != "pg_wal/archive_status"
		return inWAL || slices.Contains(leftOut, name)
	})
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listing of the sample (-want +got):\n%s", diff)
	}
}

// listing is what a backup holds of a tablespace, in the order of the rows.
func listing(t *testing.T, cluster *datadir.Stopped, tablespace string) []string {
	t.Helper()
	var found []string
	for f, err := range cluster.Files(t.Context(), tablespace, func(e *protocol.Error) { t.Errorf("notice: %v", e) }) {
		must(t, err)
		found = append(found, f.Path)
	}
	return found
}

// paths are the names below dir, with a prefix before them.
func paths(t *testing.T, dir, prefix string) []string {
	t.Helper()
	var found []string
	must(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && name != dir {
			found = append(found, prefix+strings.TrimPrefix(name, dir+"/"))
		}
		return err
	}))
	return found
}
