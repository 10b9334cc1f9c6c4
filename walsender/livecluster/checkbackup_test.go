package livecluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// TestCheckBackup_4_9 has a dry run tell what a backup would be refused for, and PostgreSQL
// be the judge. Its log has no error of a dry run that nothing stands in the way of.
func TestCheckBackup_4_9(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, map[string]string{"max_replication_slots": "1"})
	s := serve(t, primary)
	s.dryRun(t, nil, "")
	s.dryRun(t, func(o *client.Options) { o.WAL.Slot, o.WAL.CreateSlot = "mine", true }, "")
	if got := sql(t, primary, "SELECT count(*) FROM pg_replication_slots"); got != "0" {
		t.Errorf("%s slots are left", got)
	}
	s.dryRun(t, func(o *client.Options) { o.WAL.Slot = "mine" }, `replication slot "mine" does not exist`)
	sql(t, primary, "SELECT pg_create_physical_replication_slot('mine')")
	s.dryRun(t, func(o *client.Options) { o.WAL.Slot = "mine" }, "")
	s.dryRun(t, func(o *client.Options) { o.WAL.Slot, o.WAL.CreateSlot = "mine", true }, "already exists")
	s.dryRun(t, nil, "all replication slots are in use")
	s.dryRun(t, func(o *client.Options) { o.WAL.NoSlot = true }, "")
	notify := filepath.Join(primary.Dir, "pg_notify")
	must(t, os.Rename(notify, notify+".away"))
	s.refused(t, `directory "pg_notify" is missing`)
	must(t, os.Rename(notify+".away", notify))
	sql(t, primary, "REVOKE EXECUTE ON FUNCTION "+primary.Programs.BackupFunctions()+" FROM backup")
	s.refused(t, "the role lacks EXECUTE on ")
}

// TestCheckBackup_4_9_WALLevel is a primary whose WAL holds too little.
func TestCheckBackup_4_9_WALLevel(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, map[string]string{"wal_level": "minimal", "max_wal_senders": "0"})
	live, err := livecluster.Open(t.Context(), primary.Dir, livecluster.Config{ConnString: as(primary, "backup"), Logger: logger(t)})
	must(t, err)
	serveCluster(t, primary, live).refused(t, `its wal_level is "minimal"`)
}

// TestCheckBackup_4_9_FullPages_Long is a standby of a primary that does not write whole pages.
func TestCheckBackup_4_9_FullPages_Long(t *testing.T) {
	longtest.Mark(t)
	t.Parallel()
	primary := newPrimary(t, map[string]string{"full_page_writes": "off"})
	standby := newStandby(t, primary)
	sql(t, primary, "CREATE TABLE pages (i int); CHECKPOINT")
	catchUp(t, primary, standby)
	sql(t, standby, "CHECKPOINT")
	serve(t, standby).refused(t, "its WAL was written with full_page_writes off")
}

// dryRun makes a dry run, which fails with an error that says want; empty: it succeeds.
func (s *served) dryRun(t testing.TB, change func(*client.Options), want string) {
	t.Helper()
	config, err := pgconn.ParseConfig(s.through())
	must(t, err)
	o := client.Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy")}
	if change != nil {
		change(&o)
	}
	_, err = client.DryRun(t.Context(), o)
	if want == "" {
		must(t, err)
	} else if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the dry run: %v, want %q", err, want)
	}
}

// refused makes sure that a dry run says what a backup is refused for, and that PostgreSQL
// does refuse it.
func (s *served) refused(t testing.TB, want string) {
	t.Helper()
	s.dryRun(t, nil, want)
	if _, err := s.backupTo(t.Context(), t, filepath.Join(t.TempDir(), "copy"), nil); err == nil {
		t.Error("PostgreSQL does not refuse the backup")
	}
}
