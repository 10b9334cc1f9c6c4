package acceptance_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// Whoever mistypes a host has a refresh refused, of a finished backup and of what a killed one has
// left, with both system identifiers, and nothing has changed. A standby that was promoted is the
// same system, on another timeline.
func TestRefresh_5_16_AnotherCluster_Long(t *testing.T) {
	longtest.Mark(t)
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, primary.Start(ctx))
	sql(t, primary, "create table big as select i, repeat('x', 200) x from generate_series(1, 10000) i")
	standby := primary.NewStandby(t)
	must(t, primary.Stop(ctx, postgres.Fast))
	other := p.NewForeignCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	ids := [2]string{}
	for i, c := range []*postgres.Cluster{primary, other} {
		data, err := c.ControlData(ctx)
		must(t, err)
		ids[i] = data["Database system identifier"]
	}
	s, wrong := serve(t, primary.Dir), serve(t, other.Dir)

	base := p.TempDir(t)
	finished, unfinished := filepath.Join(base, "finished"), filepath.Join(base, "unfinished")
	succeed(t, backup(t, s.socketDir, finished, "--no-sync"))
	g := newGate(t, s, "SEND_FILE", 100)
	killed := start(t, backup(t, g.socketDir, unfinished, "--no-sync"))
	g.wait(t, killed)
	killed.signal(unix.SIGKILL)
	killed.wait(t)
	before := tree(t, base)
	want := fmt.Sprintf("is of another cluster: its system identifier is %s, the server's is %s", ids[0], ids[1])
	for _, dir := range []string{finished, unfinished} {
		for _, options := range [][]string{{"--refresh"}, {"--refresh", "--in-place"}, {"--refresh", "--dry-run"}} {
			r := run(t, backup(t, wrong.socketDir, dir, append(options, "--no-sync")...))
			if r.status() != 1 || !strings.Contains(r.stderr.String(), want) {
				t.Errorf("%s %v: %v, want %s:\n%s", dir, options, r.cmd.ProcessState, want, r.stderr.String())
			}
			if diff := cmp.Diff(before, tree(t, base)); diff != "" {
				t.Errorf("%s %v: something has changed: %s", dir, options, diff)
			}
		}
	}

	must(t, standby.Start(ctx))
	must(t, standby.Promote(ctx))
	must(t, standby.Stop(ctx, postgres.Fast))
	promoted := serve(t, standby.Dir)
	for _, dir := range []string{finished, unfinished} {
		succeed(t, backup(t, promoted.socketDir, dir, "--refresh", "--no-sync"))
		verifyBackup(t, p, dir)
	}
}
