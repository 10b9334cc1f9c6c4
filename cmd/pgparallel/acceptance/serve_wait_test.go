package acceptance_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// serve --wait starts ahead of PostgreSQL, and admits as many sessions as PostgreSQL has
// walsenders.
func TestServe_Wait(t *testing.T) {
	cluster := postgres.Require(t).NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"max_wal_senders": "3"}})
	options := []string{"serve", "-D", cluster.Dir, "-k", socketDir(t), "--cluster=" + cluster.ConnString("postgres"), "--passthrough-superuser=postgres"}
	impatient := run(t, command(t, options...))
	if said := impatient.stderr.String(); impatient.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, "start the server") {
		t.Errorf("without --wait: %s", said)
	}
	patient := start(t, command(t, append(options, "--wait")...))
	if !patient.stderr.waitFor("waiting for the server of the cluster", patient.ended) {
		t.Fatal(patient.stderr.String())
	}
	must(t, cluster.Start(t.Context()))
	if !patient.stderr.waitFor("ready to serve base backups", patient.ended) {
		t.Fatal(patient.stderr.String())
	}
	for range 3 {
		session, err := pgconn.Connect(t.Context(), "host="+options[4]+" port=5433 user=postgres replication=true")
		must(t, err)
		defer session.Close(t.Context())
	}
	_, err := pgconn.Connect(t.Context(), "host="+options[4]+" port=5433 user=postgres replication=true")
	if err == nil || !strings.Contains(err.Error(), "max_wal_senders (currently 3)") {
		t.Errorf("one session more: %v", err)
	}
}

// A running cluster that is served as a stopped one is warned of at once, and --dry-run says
// what START_BACKUP would.
func TestServe_RunningWithoutCluster(t *testing.T) {
	cluster := postgres.Require(t).NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, cluster.Start(t.Context()))
	s := serve(t, cluster.Dir)
	if said := s.stderr.String(); !strings.Contains(said, "WARN no backup can be taken now") || !strings.Contains(said, "--cluster") {
		t.Errorf("serve does not warn:\n%s", said)
	}
	dry := run(t, backup(t, s.socketDir, t.TempDir(), "--dry-run"))
	if said := dry.stderr.String(); dry.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, "the cluster is running, or has crashed") {
		t.Errorf("--dry-run ends with %v:\n%s", dry.cmd.ProcessState, said)
	}
	must(t, cluster.Stop(t.Context(), postgres.Fast))
	succeed(t, backup(t, s.socketDir, t.TempDir(), "--dry-run"))
	if again := serve(t, cluster.Dir); strings.Contains(again.stderr.String(), "WARN") {
		t.Errorf("of a stopped cluster serve says:\n%s", again.stderr.String())
	}
}
