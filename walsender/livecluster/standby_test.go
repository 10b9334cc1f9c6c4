package livecluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// newStandby starts a standby of the primary.
func newStandby(t testing.TB, primary *postgres.Cluster) *postgres.Cluster {
	t.Helper()
	standby := primary.NewStandby(t)
	must(t, standby.Start(t.Context()))
	return standby
}

// catchUp waits until the standby has replayed what the primary has written.
func catchUp(t testing.TB, primary, standby *postgres.Cluster) {
	t.Helper()
	end := sql(t, primary, "SELECT pg_current_wal_lsn()")
	wait(t, "the standby catches up", func() bool {
		return sql(t, standby, "SELECT pg_last_wal_replay_lsn() >= '"+end+"'") == "t"
	})
}

// TestStandby_Backup takes a backup of a standby while it replays what the writers do on
// its primary.
func TestStandby_Backup(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, nil)
	must(t, primary.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "1"))
	standby := newStandby(t, primary)
	s := serve(t, standby)
	if got := replicate(t, s.through()).ParameterStatus("in_hot_standby"); got != "on" {
		t.Errorf("in_hot_standby is %q", got)
	}
	stopPgbench, stopChurn := primary.StartLoad(t), primary.StartDDL(t)
	dir := filepath.Join(primary.Programs.TempDir(t), "copy")
	result, err := s.backupTo(t.Context(), t, dir, func(o *client.Options) { o.Jobs, o.WAL.Method = 8, client.WALStream })
	must(t, err)
	stopChurn()
	stopPgbench()
	if !result.HasLabel || result.StopPtr <= result.StartPtr {
		t.Errorf("result %+v", result)
	}
	must(t, s.Programs.Own(dir))
	run(t, s, "pg_verifybackup", dir)
	must(t, os.Remove(filepath.Join(dir, "standby.signal")))
	restored := primary.Programs.OpenCluster(t, dir)
	must(t, restored.Start(t.Context()))
	must(t, restored.CheckLoad(t.Context()))
}

// TestStandby_4_6_Promoted promotes the standby in the middle of a backup.
func TestStandby_4_6_Promoted(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, nil)
	path := longFile(t, primary)
	standby := newStandby(t, primary)
	catchUp(t, primary, standby)
	s := serve(t, standby)
	leader := replicate(t, s.through())
	id := strings.Split(row(t, leader, "START_BACKUP FAST MAX_RATE 1024"), "|")[3]
	ended := stuckFile(t, s, id, path)

	dir := filepath.Join(t.TempDir(), "copy")
	failed := make(chan error, 1)
	go func() {
		_, err := s.backupTo(t.Context(), t, dir, slow)
		failed <- err
	}()
	wait(t, "files are copied", func() bool { _, err := os.Stat(filepath.Join(dir, "base")); return err == nil })

	must(t, standby.Promote(t.Context()))
	promoted := time.Now()
	const message = "the standby was promoted during online backup"
	if e := expectCode(t, <-ended, "55000"); e.Message != message || e.Hint == "" {
		t.Errorf("the file under way ends with %q", e.Message)
	}
	if took := time.Since(promoted); took > 1500*time.Millisecond {
		t.Errorf("that took %v", took)
	}
	_, err := command(t, leader, "SEND_FILE ('PG_VERSION')")
	if e := expectCode(t, err, "55000"); e.Message != message {
		t.Errorf("the next file ends with %q", e.Message)
	}
	_, err = command(t, leader, "STOP_BACKUP")
	if e := expectCode(t, err, "55000"); e.Message != message {
		t.Errorf("STOP_BACKUP ends with %q", e.Message)
	}
	if err := <-failed; err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("the client ends with %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the target is still there: %v", err)
	}
	if got := replicate(t, s.through()).ParameterStatus("in_hot_standby"); got != "off" {
		t.Errorf("in_hot_standby is %q", got)
	}
	// On its new timeline the cluster can be backed up.
	copied := filepath.Join(primary.Programs.TempDir(t), "copy")
	result, err := s.backupTo(t.Context(), t, copied, nil)
	must(t, err)
	if result.Timeline != 2 || result.StopTimeline != 2 {
		t.Errorf("result %+v", result)
	}
	must(t, s.Programs.Own(copied))
	run(t, s, "pg_verifybackup", copied)
}

// TestStandby_4_1_WALGone removes the segment in which the standby's last checkpoint
// begins: a backup could not be completed, and does not even begin.
func TestStandby_4_1_WALGone(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, nil)
	standby := newStandby(t, primary)
	s := serve(t, standby)
	// The standby has no checkpoint left from which START_BACKUP could make a restartpoint.
	sql(t, primary, "CHECKPOINT")
	catchUp(t, primary, standby)
	sql(t, standby, "CHECKPOINT")
	redo := sql(t, standby, "SELECT redo_wal_file FROM pg_control_checkpoint()")
	longFile(t, primary) // many segments of WAL
	catchUp(t, primary, standby)
	must(t, os.Remove(filepath.Join(standby.Dir, "pg_wal", redo)))
	leader := replicate(t, s.through())
	_, err := command(t, leader, "START_BACKUP FAST")
	if e := expectCode(t, err, "58P01"); e.Message != "requested WAL segment "+redo+" has already been removed" {
		t.Errorf("answer %q", e.Message)
	}
	if got := backends(t, standby); got != "0" {
		t.Errorf("%s sessions are left in backup mode", got)
	}
}

// TestStandby_5_15_FromBackup makes a standby of a backup: it streams from PostgreSQL, and
// goes on when the server of the backup is gone.
func TestStandby_5_15_FromBackup(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "1"))
	stop := s.StartLoad(t)
	dir := filepath.Join(s.Programs.TempDir(t), "copy")
	info, err := conninfo.Resolve(s.through(), conninfo.Options{Replication: true, Settings: map[string]string{"user": "passer"}})
	must(t, err)
	_, err = s.backupTo(t.Context(), t, dir, func(o *client.Options) {
		o.WriteRecoveryConf, o.ConnInfo = true, info
	})
	must(t, err)
	stop()
	must(t, s.server.Close())
	standby := s.Programs.OpenCluster(t, dir)
	must(t, standby.Start(t.Context()))
	catchUp(t, s.Cluster, standby)
	if got := sql(t, s.Cluster, "SELECT usename FROM pg_stat_replication"); got != "passer" {
		t.Errorf("the standby is connected as %q", got)
	}
	want, err := s.Fingerprint(t.Context())
	must(t, err)
	got, err := standby.Fingerprint(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-primary +standby):\n%s", diff)
	}
}
