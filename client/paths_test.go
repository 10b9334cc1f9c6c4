package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// A target is where the kernel says that its path leads.
func TestBackup_DirBehindALink(t *testing.T) {
	f := newFake(t)
	base := outputtest.Linked(t)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: base + "/link/../c"})
	must(t, err)
	must(t, os.Remove(filepath.Join(base, "link")))
	read(t, filepath.Join(base, "real/c"), "PG_VERSION")
}

// A tablespace within the data directory is one, whatever links hide it.
func TestTablespace_OverlapThroughALink(t *testing.T) {
	f := newFake(t)
	base := outputtest.Linked(t)
	location := filepath.Join(base, "space")
	f.withTablespace("16400", location)
	before := outputtest.Tree(t, base)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(base, "link/data"),
		TablespaceMap: map[string]string{location: filepath.Join(base, "real/data/data/ts")}})
	if err == nil || !strings.Contains(err.Error(), "overlaps with") {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, base)
}

// Nothing is written into a cluster: neither target, nor WAL, nor tablespaces.
func TestBackup_WithinACluster(t *testing.T) {
	base := outputtest.Linked(t)
	cluster := filepath.Join(base, "real/data")
	for _, dir := range []string{"global", "base/1", "backups", "pg_wal/archive_status"} {
		must(t, os.MkdirAll(filepath.Join(cluster, dir), 0o700))
	}
	must(t, os.MkdirAll(filepath.Join(base, "space/PG_15_202209061/1"), 0o700))
	must(t, os.MkdirAll(filepath.Join(base, "wal/archive_status"), 0o700))
	for _, name := range []string{"PG_VERSION", output.ControlFile} {
		must(t, os.WriteFile(filepath.Join(cluster, name), nil, 0o600))
	}
	before := outputtest.Tree(t, base)
	for within, want := range map[string]string{
		"link/backups/1": "data directory", "real/data/base/9": "data directory",
		"space/PG_15_202209061/2/x": "tablespace directory", "wal/x": "WAL directory",
	} {
		within, away := filepath.Join(base, within), filepath.Join(t.TempDir(), "copy")
		f := newFake(t)
		f.withTablespace("16400", "/nowhere")
		for _, o := range []Options{
			{Dir: within}, {Dir: within, Archive: &ArchiveOptions{}}, {Dir: away, WAL: WALOptions{Dir: within}},
			{Dir: away, TablespaceMap: map[string]string{"/nowhere": within}},
		} {
			o.ConnConfig = f.config()
			_, err := Backup(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), "lies in the "+want) {
				t.Errorf("%s: error is %v", within, err)
			}
		}
		if asked := f.commandsWith("START_BACKUP"); len(asked) > 0 {
			t.Error("there was a checkpoint before the error")
		}
	}
	outputtest.SameTree(t, before, base)
}

// The directory of an ext4 file system is not empty when it is new; initdb's advice is
// a directory below it.
func TestClaim_LostAndFound(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	_, err := Backup(t.Context(), Options{ConnConfig: newFake(t).config(), Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "perhaps because it is a mount point: use a directory below it") {
		t.Errorf("error is %v", err)
	}
}
