package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A dry run says what the refresh then does, by numbers and by names, and changes nothing.
func TestDryRun_Refresh(t *testing.T) {
	for name, change := range map[string]func(o *client.Options){
		"beside":     func(*client.Options) {},
		"in place":   func(o *client.Options) { o.InPlace = true },
		"unfinished": func(o *client.Options) { interruptIn(t, o.Dir) },
		"absent":     func(o *client.Options) { must(t, os.RemoveAll(o.Dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			source := writeSample(t, walsendertest.Sample{})
			grow(t, source, 200)
			dir, _ := copyOf(t)
			o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, Jobs: 2, NoSync: true, NoVerifyChecksums: true}
			_, err := client.Backup(t.Context(), o)
			must(t, err)
			overwrite(t, filepath.Join(source, bigRelation), 50*8192+17, "changed")
			must(t, os.WriteFile(filepath.Join(source, "base/5/90001"), make([]byte, 8192), 0o600))
			must(t, os.Remove(filepath.Join(source, "base/5/20000_vm")))
			o.Refresh = true
			change(&o)

			var said []string
			o.Log = func(e client.Event) { said = append(said, e.Message) }
			before := outputtest.Tree(t, filepath.Dir(dir))
			plan, err := client.DryRun(t.Context(), o)
			must(t, err)
			outputtest.SameTree(t, before, filepath.Dir(dir))
			o.Log = nil
			result, err := client.Backup(t.Context(), o)
			must(t, err)
			want := client.PlannedRefresh{
				KeptFiles: result.KeptFiles, KeptBytes: result.KeptBytes, FetchedFiles: result.FetchedFiles, FetchedBytes: result.FetchedBytes,
				RemovedFiles: result.RemovedFiles,
			}
			if name == "beside" {
				want.Beside = dir + besideDir
			}
			want.RemovedBytes = plan.Refresh.RemovedBytes
			if diff := cmp.Diff(want, *plan.Refresh); diff != "" {
				t.Errorf("the plan (-what was done +plan):\n%s", diff)
			}
			if name == "absent" {
				return
			}
			if plan.Refresh.RemovedFiles != 1 || plan.Refresh.RemovedBytes != 8192 {
				t.Errorf("%d files would be removed, of %d bytes", plan.Refresh.RemovedFiles, plan.Refresh.RemovedBytes)
			}
			for _, line := range []string{`would keep "base/5/20000"`, `would fetch 16 kB of "base/5/90000"`, `would fetch "base/5/90001"`, `would remove "base/5/20000_vm"`} {
				if n := strings.Count(strings.Join(said, "\n"), line); n != 1 {
					t.Errorf("it says %d times %s", n, line)
				}
			}
		})
	}
}

func interruptIn(t *testing.T, dir string) {
	t.Helper()
	touch(t, dir, "pgparallel.incomplete")
	interrupt(t, dir)
}

// What a refresh is refused for, its dry run is refused for, too.
func TestDryRun_RefreshRefused(t *testing.T) {
	source, other := writeSample(t, walsendertest.Sample{}), writeSample(t, walsendertest.Sample{SystemID: 4711})
	config, otherConfig := serve(t, source, &walsender.Server{}), serve(t, other, &walsender.Server{})
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: config, Dir: dir, NoSync: true, NoVerifyChecksums: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	o.Refresh, o.ConnConfig = true, otherConfig
	for _, o.InPlace = range []bool{false, true} {
		_, want := client.Backup(t.Context(), o)
		if _, err := client.DryRun(t.Context(), o); err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("of another cluster: %v, want %v", err, want)
		}
	}
	o.ConnConfig = config
	touch(t, dir, "postmaster.pid")
	for _, o.InPlace = range []bool{false, true} {
		if _, err := client.DryRun(t.Context(), o); !errors.Is(err, client.ErrStarted) {
			t.Errorf("where a server runs: %v", err)
		}
	}
}

// Of what lies in the directory of a tablespace, too.
func TestDryRun_RefreshRefusedForTablespace(t *testing.T) {
	location := filepath.Join(t.TempDir(), "location")
	source := writeSample(t, walsendertest.Sample{Tablespaces: []walsendertest.SampleTablespace{{OID: 16500, Location: location}}})
	dir, _ := copyOf(t)
	space := filepath.Join(t.TempDir(), "space")
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true, TablespaceMap: map[string]string{location: space}}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	touch(t, space, "README.important")
	o.Refresh, o.InPlace = true, true
	_, want := client.Backup(t.Context(), o)
	if _, err := client.DryRun(t.Context(), o); err == nil || want == nil || err.Error() != want.Error() || !strings.Contains(err.Error(), "README.important") {
		t.Errorf("%v, want %v", err, want)
	}
}
