package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// original is a cluster with all that makes copying one hard. It is stopped.
type original struct {
	programs    postgres.Programs
	cluster     *postgres.Cluster
	location    string                    // of its tablespace
	fingerprint map[string]postgres.Table // taken before it was stopped
	strays      map[string]string         // the files that its user put into it, with their content
}

func newOriginal(t *testing.T) *original {
	t.Helper()
	ctx, p := t.Context(), postgres.Require(t)
	o := &original{
		programs: p,
		cluster:  p.NewCluster(t, postgres.InitOptions{Checksums: true, Settings: map[string]string{"max_wal_size": "4GB"}}),
		location: p.TempDir(t),
		strays: map[string]string{
			"it's a file":          "with a quote and spaces",
			`"so called"`:          "with double quotes",
			"Größe/Ελλάδα 日本語.txt": "not ASCII",
			"empty":                "",
		},
	}
	must(t, o.cluster.Start(ctx))
	sql(t, o.cluster, fmt.Sprintf(`create tablespace elsewhere location '%s';
		create unlogged table here as select i, md5(i::text) from generate_series(1, 20000) i;
		create unlogged table there tablespace elsewhere as select i, md5(i::text) from generate_series(1, 20000) i;
		create index on here (i);
		create index on there (i) tablespace pg_default;
		create database "a ""b'" tablespace elsewhere`, o.location))
	must(t, o.cluster.Pgbench(ctx, "postgres", "-i", "-q", "-s", "20", "--index-tablespace=elsewhere"))
	var err error
	o.fingerprint, err = o.cluster.Fingerprint(ctx)
	must(t, err)
	for _, name := range []string{"here", "there"} {
		if table := o.fingerprint["postgres/public."+name]; !table.Unlogged || table.Rows != 20000 {
			t.Fatalf("the unlogged table %s is %+v", name, table)
		}
	}
	must(t, o.cluster.Stop(ctx, postgres.Fast))
	o.plant(t)
	return o
}

// plant writes what no server wrote into the cluster's directories, and what one
// might have left.
func (o *original) plant(t *testing.T) {
	t.Helper()
	versions, err := filepath.Glob(o.location + "/PG_*")
	if err != nil || len(versions) != 1 {
		t.Fatalf("%s holds %v, %v", o.location, versions, err)
	}
	temporary := "pgsql_tmp/pgsql_tmp4711.0"
	files := map[string]string{
		filepath.Join(o.cluster.Dir, "base", temporary): "left by a server",
		filepath.Join(versions[0], temporary):           "left by a server",
	}
	for name, content := range o.strays {
		files[filepath.Join(o.cluster.Dir, name)] = content
	}
	for name, content := range files {
		must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		must(t, os.WriteFile(name, []byte(content), 0o600))
	}
	must(t, o.programs.Own(o.cluster.Dir))
	must(t, o.programs.Own(o.location))
}

// duplicate is a backup.
type duplicate struct {
	dir, tablespace string
	manifest        []byte
}

// backUp takes a backup from the server of the original.
func (o *original) backUp(t *testing.T, s *server, jobs int) duplicate {
	t.Helper()
	base := o.programs.TempDir(t)
	c := duplicate{dir: filepath.Join(base, "copy"), tablespace: filepath.Join(base, "else where")}
	succeed(t, backup(t, s.socketDir, c.dir, "-j", fmt.Sprint(jobs), "--no-sync", "-T", o.location+"="+c.tablespace))
	var err error
	c.manifest, err = os.ReadFile(filepath.Join(c.dir, "backup_manifest"))
	must(t, err)
	return c
}
