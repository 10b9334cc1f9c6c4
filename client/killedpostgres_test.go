package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// PostgreSQL refuses to start from what kill -9 leaves in any step of a backup of a
// running cluster, until all is there and synchronized.
func TestBackup_5_6_PostgreSQLRefusesTheResidue_Long(t *testing.T) {
	longtest.Mark(t)
	checkResidues(t, stepNames(t)...)
}

// The steps are those that change what PostgreSQL says.
func TestBackup_5_6_PostgreSQLRefusesTheResidue(t *testing.T) {
	t.Parallel()
	checkResidues(t, "copy files", releaseSteps[0], "release control file", releaseSteps[len(releaseSteps)-1])
}

func checkResidues(t *testing.T, steps ...string) {
	t.Helper()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{
		"wal_keep_size":   "64MB", // the checkpoints of the others remove WAL
		"max_wal_senders": "40",
	}})
	must(t, source.Start(ctx))
	live, err := livecluster.Open(ctx, source.Dir, livecluster.Config{
		ConnString: source.ConnString("postgres"), PassThroughSuperuser: "postgres",
	})
	must(t, err)
	t.Cleanup(func() { must(t, live.Close()) })
	dsn := serveDSN(t, &walsender.Server{Cluster: live, MaxWALSenders: 40}) // several at a time

	location := filepath.Join(p.TempDir(t), "space")
	must(t, os.Mkdir(location, 0o700))
	must(t, p.Own(location))
	for _, statement := range []string{
		"create tablespace space location '" + location + "'",
		"create table t tablespace space as select generate_series(1, 1000)",
	} {
		_, err := source.SQL(ctx, "postgres", statement)
		must(t, err)
	}
	for _, name := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // PostgreSQL takes its time to say no
			checkResidue(t, p, name, dsn, location)
		})
	}
}

// checkResidue has PostgreSQL judge what kill -9 leaves in a step, and then the next
// backup. The tablespace of the cluster is in location.
func checkResidue(t *testing.T, p postgres.Programs, step, dsn, location string) {
	t.Helper()
	base := p.TempDir(t)
	o := Options{
		Dir: filepath.Join(base, "copy"), WAL: WALOptions{Dir: filepath.Join(base, "wal")},
		TablespaceMap: map[string]string{location: filepath.Join(base, "space")},
	}
	killIn(t, step, dsn, o)
	if _, err := os.Stat(o.Dir); err != nil {
		return
	}
	must(t, p.Own(base))
	if isReleased(step) {
		mustStart(t, p, o.Dir)
	} else if err := startAt(t, p, o.Dir); err == nil {
		t.Error("PostgreSQL starts from the residue")
	}
	if !slices.Contains(releaseSteps, step) {
		return
	}
	var err error
	o.ConnConfig, err = pgconn.ParseConfig(dsn)
	must(t, err)
	checkForce(t, step, base, o)
	must(t, p.Own(base))
	mustStart(t, p, o.Dir)
}

// checkForce takes a backup into what was left by one that was killed in a step: it
// is refused without force, and with force where a server can be started from it.
func checkForce(t *testing.T, step, base string, o Options) {
	t.Helper()
	before := outputtest.Tree(t, base)
	_, err := Backup(t.Context(), o)
	if err == nil || errors.Is(err, ErrUnfinished) == isReleased(step) {
		t.Errorf("step %s: the next backup says %v", step, err)
	}
	o.Force = true
	if _, err = Backup(t.Context(), o); (err == nil) == isReleased(step) {
		t.Errorf("step %s: the next backup by force says %v", step, err)
	}
	if isReleased(step) {
		outputtest.SameTree(t, before, base)
		return
	}
	report, err := Verify(t.Context(), o.Dir, VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("step %s: after the next backup by force: %v", step, report.Problems)
	}
}

func startAt(t *testing.T, p postgres.Programs, dir string) error {
	t.Helper()
	residue, err := p.At(dir)
	must(t, err)
	err = residue.Start(t.Context())
	if err == nil {
		var rows string
		if rows, err = residue.SQL(t.Context(), "postgres", "select count(*) from t"); err == nil && rows != "1000" {
			err = fmt.Errorf("table has %s rows", rows)
		}
	}
	must(t, residue.Close())
	return err
}

func mustStart(t *testing.T, p postgres.Programs, dir string) {
	t.Helper()
	if err := startAt(t, p, dir); err != nil {
		t.Errorf("%s: %v", dir, err)
	}
}
