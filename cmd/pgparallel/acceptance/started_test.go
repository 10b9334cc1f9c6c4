package acceptance_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// small is a cluster with a tablespace, quick to copy. It is stopped.
func small(t *testing.T) (c *postgres.Cluster, location string) {
	t.Helper()
	p := postgres.Require(t)
	c, location = p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1}), p.TempDir(t)
	must(t, c.Start(t.Context()))
	sql(t, c, fmt.Sprintf(`create tablespace elsewhere location '%s';
		create table here as select i, md5(i::text) from generate_series(1, 10000) i;
		create table there tablespace elsewhere as table here`, location))
	must(t, c.Stop(t.Context(), postgres.Fast))
	return c, location
}

// The cluster is started while a backup runs, at its first file and after its last.
// STOP_BACKUP fails, and nothing is left: directories that were not there are not
// there, those that were are empty and have the mode that they had.
func TestStarted_StopBackupFailsAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	cluster, location := small(t)
	s := serve(t, cluster.Dir)
	for _, step := range []string{"SEND_FILE", "STOP_BACKUP"} {
		for _, targets := range []string{"absent", "empty"} {
			t.Run(step+" with targets "+targets, func(t *testing.T) {
				base := t.TempDir()
				dir, tablespace := filepath.Join(base, "copy"), filepath.Join(base, "more", "elsewhere")
				if targets == "empty" {
					for _, target := range []string{dir, tablespace} {
						must(t, os.MkdirAll(target, 0o700))
						must(t, os.Chmod(target, 0o711))
					}
				}
				before := tree(t, base)

				g := newGate(t, s, step, 1)
				b := start(t, backup(t, g.socketDir, dir, "-j", "2", "--no-sync", "-T", location+"="+tablespace))
				g.wait(t, b)
				must(t, cluster.Start(t.Context()))
				g.open()
				b.wait(t)
				must(t, cluster.Stop(t.Context(), postgres.Fast))

				said := b.stderr.String()
				if b.status() != 1 || strings.Count(said, "error: ") != 1 ||
					!strings.Contains(said, "error: could not stop backup: ") || !strings.Contains(said, "SQLSTATE 55000") {
					t.Errorf("exit status %d, want 1 and one error with SQLSTATE 55000:\n%s", b.status(), said)
				}
				if diff := cmp.Diff(before, tree(t, base)); diff != "" {
					t.Errorf("something is left (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// tree is what lies below a directory, with modes.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var entries []string
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		entries = append(entries, fmt.Sprint(info.Mode(), " ", name))
		return err
	}))
	return entries
}
