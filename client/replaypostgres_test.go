package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A copy of a cluster that crashed after CREATE TABLESPACE would write into the tablespace
// of its source, and one of a cluster in which a database is moved would lose the database:
// neither backup is a success (§5.12).
func TestReplay_5_12_PostgreSQL_Long(t *testing.T) {
	longtest.Mark(t)
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	spaces := p.TempDir(t)
	space := filepath.Join(spaces, "source")
	must(t, os.Mkdir(space, 0o700))
	must(t, p.Own(spaces))
	query(t, source, "CREATE DATABASE moving")
	query(t, source, "CHECKPOINT")
	query(t, source, "CREATE TABLESPACE ts LOCATION '"+space+"'")
	o := client.Options{
		Dir: filepath.Join(t.TempDir(), "crashed"), Jobs: 2, FastCheckpoint: true,
		TablespaceMap: map[string]string{space: filepath.Join(spaces, "crashed")},
	}

	must(t, source.Stop(ctx, postgres.Immediate))
	stopped, err := datadir.Open(source.Dir, datadir.Options{Crashed: true})
	must(t, err)
	o.ConnConfig = listen(t, &walsender.Server{Cluster: stopped})
	_, err = client.Backup(ctx, o)
	expectState(t, err, `in "`+space+`"`)
	must(t, stopped.Close())

	must(t, source.Start(ctx))
	o.ConnConfig, o.Dir = beside(t, source), filepath.Join(t.TempDir(), "moved")
	o.TablespaceMap = map[string]string{space: filepath.Join(spaces, "moved")}
	o.OnStep(func(step string) {
		if step == "copy files" { // all are listed
			query(t, source, "ALTER DATABASE moving SET TABLESPACE ts")
		}
	})
	_, err = client.Backup(ctx, o)
	expectState(t, err, "from the files of database")
}

// What comes and goes after the files were listed, and before the lists behind the end, only the
// WAL tells (§5.12). A database that is made of a template that stays is no failure.
func TestReplay_5_12_Passing_Long(t *testing.T) {
	longtest.Mark(t)
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	spaces := p.TempDir(t)
	for _, name := range []string{"first", "second"} {
		must(t, os.Mkdir(filepath.Join(spaces, name), 0o700))
	}
	must(t, p.Own(spaces))
	query(t, source, "CREATE TABLESPACE first LOCATION '"+filepath.Join(spaces, "first")+"'")
	query(t, source, "CREATE DATABASE moving")
	strategy := ""
	if p.Major >= 15 {
		strategy = " STRATEGY file_copy"
	}
	from := beside(t, source)
	backup := func(name string, at map[string][]string) error {
		o := client.Options{
			ConnConfig: from, Dir: filepath.Join(t.TempDir(), name), Jobs: 2, FastCheckpoint: true,
			TablespaceMap: map[string]string{filepath.Join(spaces, "first"): filepath.Join(spaces, name)},
		}
		o.OnStep(func(step string) {
			for _, sql := range at[step] {
				query(t, source, sql)
			}
		})
		_, err := client.Backup(ctx, o)
		return err
	}
	second := "CREATE TABLESPACE second LOCATION '" + filepath.Join(spaces, "second") + "'"
	made := "CREATE DATABASE made" + strategy
	must(t, backup("made", map[string][]string{"copy files": {made, "DROP DATABASE made", made, second, "DROP TABLESPACE second"}}))
	err := backup("back", map[string][]string{"copy files": {"ALTER DATABASE moving SET TABLESPACE first", "ALTER DATABASE moving SET TABLESPACE pg_default"}})
	expectState(t, err, "from the files of database")
	err = backup("passing", map[string][]string{"copy files": {second}, "check tablespaces": {"DROP TABLESPACE second"}})
	expectState(t, err, "was created during the backup")
}

// expectState expects an error that the state of the source is the reason of.
func expectState(t *testing.T, err error, text string) {
	t.Helper()
	if refused, ok := errors.AsType[*protocol.Error](err); !ok || refused.Code != protocol.CodeObjectNotInPrerequisite || refused.Hint == "" || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v, want one of the source's state with %q", err, text)
	}
}
