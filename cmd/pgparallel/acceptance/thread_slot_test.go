package acceptance_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A replication slot that is not there, of a cluster that has no server to have it.
func TestThread_NoSuchSlot_StoppedCluster(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	eachTarget(t, func(t *testing.T, jobs int, to target) {
		b := run(t, backup(t, s.socketDir, to.dir, append(to.options(from.location, jobs), "-S", "nonexistent")...))
		to.checkFailed(t, b, `could not use replication slot "nonexistent"`)
	})
}

// And of one whose server does not know it.
func TestThread_NoSuchSlot_RunningCluster(t *testing.T) {
	t.Parallel()
	c, location := small(t)
	must(t, c.Start(t.Context()))
	t.Cleanup(func() { must(t, c.Close()) })
	s := serve(t, c.Dir, "--cluster="+c.ConnString("postgres"), "--passthrough-superuser=postgres")
	eachTarget(t, func(t *testing.T, jobs int, to target) {
		b := run(t, backup(t, s.socketDir, to.dir, append(to.options(location, jobs), "-S", "nonexistent")...))
		to.checkFailed(t, b, `replication slot "nonexistent" does not exist`)
	})
	sql(t, c, "select pg_switch_wal()") // it does not hang in backup mode either
	if err := c.Stop(t.Context(), postgres.Fast); err != nil {
		t.Errorf("the cluster does not stop: %v", err)
	}
}
