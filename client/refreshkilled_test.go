package client

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// serveSample serves a sample cluster until the test ends.
func serveSample(t *testing.T) (source, dsn string) {
	t.Helper()
	return serveSampleOf(t, walsendertest.Sample{})
}

func serveSampleOf(t *testing.T, sample walsendertest.Sample) (source, dsn string) {
	t.Helper()
	source = filepath.Join(t.TempDir(), "source")
	sample.WALSegmentSize = 1 << 20
	must(t, sample.Write(source))
	cluster, err := datadir.Open(source, datadir.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	return source, serveDSN(t, &walsender.Server{Cluster: cluster, MaxWALSenders: 100})
}

// isFinished reports whether a directory passes for a finished backup: it has what PostgreSQL
// starts from, and all that its manifest names.
func isFinished(t *testing.T, dir string) bool {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, output.ControlFile)); err != nil {
		return false
	}
	report, err := Verify(t.Context(), dir, VerifyOptions{})
	return err == nil && len(report.Problems) == 0
}

// Whatever kills a refresh, its directory holds a backup that is whole, the old or the new one;
// in place, and of an unfinished backup, it holds one that PostgreSQL refuses, until the new one
// is released. The next refresh makes of it what the server has.
func TestRefresh_5_6_KilledInEachStep_Long(t *testing.T) {
	longtest.Mark(t)
	checkKilledRefreshes(t, nil)
}

// The steps are those that change most, and those of the switch.
func TestRefresh_5_6_Killed(t *testing.T) {
	checkKilledRefreshes(t, []string{"copy files", "name manifest", "remove old backup"})
}

func checkKilledRefreshes(t *testing.T, only []string) {
	t.Helper()
	source, dsn := serveSample(t)
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	for _, how := range []string{"beside", "in place", "unfinished"} {
		t.Run(how, func(t *testing.T) {
			steps := refreshSteps(t, config, how)
			for i, step := range steps {
				if only != nil && !slices.Contains(only, step) {
					continue
				}
				dir := filepath.Join(t.TempDir(), "copy")
				o := Options{ConnConfig: config, Dir: dir, NoSync: true, NoVerifyChecksums: true}
				if how == "unfinished" {
					killIn(t, "stop backup", dsn, o)
				} else {
					_, err := Backup(t.Context(), o)
					must(t, err)
				}
				must(t, os.WriteFile(filepath.Join(source, "base/5/20001"), slices.Repeat([]byte{byte(i), 0}, 4096), 0o600))
				o.Refresh, o.InPlace = true, how == "in place"
				killIn(t, step, dsn, o)
				began := slices.Index(steps, "create directories") < i // the step before has changed something
				released := isReleased(step)
				if finished := isFinished(t, dir); how == "beside" && !finished || how == "in place" && finished && began && !released || how == "unfinished" && finished {
					t.Errorf("killed in step %s: finished is %v", step, finished)
				}
				if _, err := os.Stat(filepath.Join(dir, output.ControlFile)); how != "beside" && began && (err == nil) != released {
					t.Errorf("killed in step %s: pg_control: %v", step, err)
				}
				_, err := Backup(t.Context(), o)
				must(t, err)
				if !isFinished(t, dir) {
					t.Errorf("killed in step %s, and refreshed: it is not finished", step)
				}
				if _, err := os.Stat(dir + ".pgparallel-refresh"); err == nil {
					t.Errorf("killed in step %s, and refreshed: something is left beside it", step)
				}
				if read(t, dir, "base/5/20001") != read(t, source, "base/5/20001") {
					t.Errorf("killed in step %s, and refreshed: it is not as the server's", step)
				}
			}
		})
	}
}

// refreshSteps are the steps of a refresh, from the claim on.
func refreshSteps(t *testing.T, config *pgconn.Config, how string) []string {
	t.Helper()
	var steps []string
	o := Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true, NoVerifyChecksums: true}
	_, err := Backup(t.Context(), o)
	must(t, err)
	o.Refresh, o.InPlace = true, how == "in place"
	o.step = func(step string) { steps = append(steps, step) }
	_, err = Backup(t.Context(), o)
	must(t, err)
	steps = steps[slices.Index(steps, "start backup"):]
	if how == "unfinished" {
		steps = slices.DeleteFunc(steps, func(step string) bool { return step == "switch" || step == "remove old backup" })
	}
	return steps
}
