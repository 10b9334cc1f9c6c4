package serverkit

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

var update = flag.Bool("update", false, "write the transcripts of PostgreSQL anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTranscripts_Long holds the transcripts against the walsenders of PostgreSQL that they
// are of: 15, 18 and 19, or with PGPARALLEL_LONG=all every major. Then the cluster is stopped,
// and this project's server passes the cases over it.
func TestTranscripts_Long(t *testing.T) {
	longtest.Mark(t)
	majors := []int{15, 18, 19}
	if *update || longtest.Whole() {
		majors = postgres.Majors()
	}
	for _, major := range majors {
		t.Run(fmt.Sprint(major), func(t *testing.T) { testTranscript(t, postgres.RequireMajor(t, major)) })
	}
}

func testTranscript(t *testing.T, p postgres.Programs) {
	c := newTranscriptCluster(t, p)
	got := record(t, fmt.Sprintf("host=%s port=%d user=postgres", c.SocketDir, c.Port))
	if *update {
		text := fmt.Sprintf("# What PostgreSQL %d answers, as TestTranscripts_Long has written it (-update).\n%s", p.Major, got)
		must(t, os.WriteFile(fmt.Sprintf("transcripts/%d.txt", p.Major), []byte(text), 0o644))
		return
	}
	want, _ := transcriptOf(p.Major)
	if diff := cmp.Diff(want.String(), got.String()); diff != "" {
		t.Errorf("transcripts/%d.txt (-file +PostgreSQL):\n%s", p.Major, diff)
	}
	must(t, c.Stop(t.Context(), postgres.Fast))
	config := serveStopped(t, c.Dir)
	for _, s := range stockCases() {
		finding, excuse := s.Run(t.Context(), config)
		if finding != nil {
			t.Errorf("%s: expected: %s\nhappened: %s\n%s", s.ID, finding.Expected, finding.Happened, finding.Diff)
		}
		if excuse != nil && p.Major >= firstReadSlot {
			t.Errorf("%s: not tested: %s", s.ID, excuse.Reason)
		}
	}
}

// stockCases are the cases about PostgreSQL's own commands.
func stockCases() []Case { return slices.Concat(baseBackupCases(), replicationCases(), slotCases()) }

// newTranscriptCluster makes a cluster that runs, on its second timeline, with a tablespace.
func newTranscriptCluster(t *testing.T, p postgres.Programs) *postgres.Cluster {
	t.Helper()
	ctx := t.Context()
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB", "autovacuum": "off"}})
	must(t, c.Start(ctx))
	must(t, c.Stop(ctx, postgres.Fast))
	must(t, os.WriteFile(filepath.Join(c.Dir, "standby.signal"), nil, 0o600))
	must(t, p.Own(filepath.Join(c.Dir, "standby.signal")))
	must(t, c.Start(ctx))
	must(t, c.Promote(ctx))
	for _, statement := range []string{
		"create tablespace elsewhere location '" + p.TempDir(t) + "'",
		"create table t tablespace elsewhere as select generate_series(1, 20000); checkpoint",
	} {
		_, err := c.SQL(ctx, "postgres", statement)
		must(t, err)
	}
	return c
}

// record has a server say what the cases are about.
func record(t *testing.T, conn string) transcript {
	t.Helper()
	config, err := pgconn.ParseConfig(conn)
	must(t, err)
	all := transcript{}
	for _, c := range stockCases() {
		said := c.converse(t.Context(), config)
		if said.found != nil {
			t.Errorf("%s: PostgreSQL fails it: expected: %s\nhappened: %s", c.ID, said.found.Expected, said.found.Happened)
		}
		all[c.ID] = said.played
	}
	return all
}

// serveStopped serves a data directory until the test ends.
func serveStopped(t *testing.T, dir string) *pgconn.Config {
	t.Helper()
	cluster, err := datadir.Open(dir, datadir.Options{})
	must(t, err)
	t.Cleanup(func() { _ = cluster.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &walsender.Server{Cluster: cluster, Logger: zap.NewNop()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }() // ends with the server
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 user=postgres port=%d", l.Addr().(*net.TCPAddr).Port))
	must(t, err)
	return config
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
