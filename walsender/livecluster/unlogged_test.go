package livecluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// unloggedTables are there before the backup. slow() waits for a lock.
const unloggedTables = `
CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
	'BEGIN PERFORM pg_advisory_lock_shared(42); PERFORM pg_advisory_unlock_shared(42); RETURN $1; END';
CREATE UNLOGGED TABLE created AS SELECT g FROM generate_series(1, 100) g;
CREATE UNLOGGED TABLE reindexed AS SELECT g FROM generate_series(1, 100) g;
CREATE INDEX reindexed_g ON reindexed (slow(g));
CREATE TABLE switched AS SELECT g FROM generate_series(1, 100) g;
CREATE INDEX switched_g ON switched (slow(g));
CREATE UNLOGGED TABLE vacuumed AS SELECT g FROM generate_series(1, 100) g;
CREATE INDEX vacuumed_g ON vacuumed (slow(g));
CREATE UNLOGGED TABLE dropped AS SELECT g FROM generate_series(1, 100) g;
CREATE UNLOGGED TABLE open AS SELECT g FROM generate_series(1, 100) g;
CREATE TABLE logged AS SELECT g FROM generate_series(1, 100) g`

// unloggedBuilds begin before the files are listed and end before STOP_BACKUP.
var unloggedBuilds = []string{
	"CREATE INDEX created_g ON created (slow(g))",
	"REINDEX INDEX reindexed_g",
	"ALTER TABLE switched SET UNLOGGED",
	"VACUUM FULL vacuumed",
	"CREATE INDEX dropped_g ON dropped USING gist (point(slow(g), g))",
	"CREATE INDEX logged_g ON logged (slow(g))",
	"BEGIN; CREATE INDEX open_g ON open (slow(g))", // and stays open
}

// TestBackup_5_14_UnloggedRelations copies relations whose init forks come only after
// they were sent. The copy starts, and the tables are empty and of use.
func TestBackup_5_14_UnloggedRelations(t *testing.T) {
	for name, archive := range map[string]*client.ArchiveOptions{"plain": nil, "tar": {}} {
		t.Run(name, func(t *testing.T) { checkUnlogged(t, archive) })
	}
}

func checkUnlogged(t *testing.T, archive *client.ArchiveOptions) {
	primary := newPrimary(t, nil)
	sql(t, primary, unloggedTables)
	connect := func() *pgconn.PgConn {
		conn, err := pgconn.Connect(t.Context(), primary.ConnString("postgres"))
		must(t, err)
		t.Cleanup(func() { closeConn(conn) })
		return conn
	}
	holder := connect()
	_, err := command(t, holder, "SELECT pg_advisory_lock(42)")
	must(t, err)
	built := make(chan error, len(unloggedBuilds))
	for _, build := range unloggedBuilds {
		conn := connect()
		go func() { built <- conn.Exec(t.Context(), build).Close() }() // ends with the test at the latest
	}
	wait(t, "all builds are under way", func() bool {
		return sql(t, primary, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "7"
	})
	finish := func(_ context.Context, _ walsender.Caller, command string) error {
		if !strings.HasPrefix(command, "STOP_BACKUP") {
			return nil
		}
		if err := holder.Exec(context.Background(), "SELECT pg_advisory_unlock(42)").Close(); err != nil {
			return err
		}
		for range unloggedBuilds {
			if err := <-built; err != nil {
				return err
			}
		}
		return holder.Exec(context.Background(), "DROP TABLE dropped").Close()
	}
	s := serve(t, primary, func(server *walsender.Server) { server.Authorize = finish })
	dir := filepath.Join(primary.Programs.TempDir(t), "copy")
	_, err = s.backupTo(t.Context(), t, dir, func(o *client.Options) { o.Archive, o.WAL.Method = archive, client.WALFetch })
	must(t, err)
	manifest := filepath.Join(dir, "backup_manifest")
	if archive != nil {
		unpacked := filepath.Join(primary.Programs.TempDir(t), "unpacked")
		must(t, os.Mkdir(unpacked, 0o700))
		must(t, exec.CommandContext(t.Context(), "tar", "-xf", filepath.Join(dir, "base.tar"), "-C", unpacked).Run())
		dir = unpacked
	}
	must(t, s.Programs.Own(dir))
	must(t, s.Programs.Own(filepath.Dir(manifest)))
	run(t, s, "pg_verifybackup", "-m", manifest, dir)
	restored := s.Programs.OpenCluster(t, dir)
	must(t, restored.Start(t.Context()))
	for _, table := range []string{"created", "reindexed", "switched", "vacuumed", "open", "logged"} {
		want := "0"
		if table == "logged" {
			want = "100"
		}
		if got := sql(t, restored, "SELECT count(*) FROM "+table); got != want {
			t.Errorf("%s has %s rows, expected %s", table, got, want)
		}
		sql(t, restored, "INSERT INTO "+table+" SELECT g FROM generate_series(1000, 1100) g")
		if got := sql(t, restored, "SET enable_seqscan = off; SELECT count(*) FROM "+table+" WHERE slow(g) = 1050"); !strings.HasSuffix(got, "1") {
			t.Errorf("%s: %s rows are found", table, got)
		}
	}
	must(t, restored.Stop(t.Context(), postgres.Fast))
	must(t, restored.Start(t.Context()))
}
