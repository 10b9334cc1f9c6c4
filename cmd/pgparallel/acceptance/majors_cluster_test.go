package acceptance_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// majorCluster is a running cluster of one major version, with what makes backing it
// up hard, and the server beside it.
type majorCluster struct {
	*postgres.Cluster
	place
	live *server
}

// place is where a cluster, or a copy of one, has its files.
type place struct {
	programs        postgres.Programs
	dir, tablespace string
}

func newMajorCluster(t *testing.T, p postgres.Programs) *majorCluster {
	t.Helper()
	settings := map[string]string{"autovacuum": "off", "wal_keep_size": "1GB", "max_wal_senders": "20"}
	if p.Major >= 15 {
		settings["allow_in_place_tablespaces"] = "on"
	}
	c := p.NewCluster(t, postgres.InitOptions{Checksums: true, GroupAccess: true, WALSegmentSizeMB: 1, Settings: settings})
	m := &majorCluster{Cluster: c, place: place{p, c.Dir, p.TempDir(t)}}
	must(t, c.Start(t.Context()))
	sql(t, c, fmt.Sprintf(`create role backup login; create role passer login replication;
		grant execute on function %s to backup;
		create tablespace elsewhere location '%s'`, p.BackupFunctions(), m.tablespace))
	spaces := []string{"pg_default", "elsewhere"}
	if p.Major >= 15 {
		sql(t, c, "create tablespace inside location ''")
		spaces = append(spaces, "inside")
	}
	for _, space := range spaces {
		sql(t, c, fmt.Sprintf(`create table in_%[1]s tablespace %[1]s as select i, md5(i::text) from generate_series(1, 2000) i;
			create unlogged table unlogged_%[1]s tablespace %[1]s as select i from generate_series(1, 2000) i;
			create index on unlogged_%[1]s (i) tablespace %[1]s;
			vacuum in_%[1]s, unlogged_%[1]s;
			create database database_%[1]s tablespace %[1]s`, space))
	}
	must(t, c.Pgbench(t.Context(), "postgres", "-i", "-q", "-s", "1"))
	m.live = serveLive(t, c)
	return m
}

// serveLive serves a running cluster beside its server, with the roles of
// newMajorCluster.
func serveLive(t *testing.T, c *postgres.Cluster) *server {
	t.Helper()
	as := func(role string) string {
		return strings.Replace(c.ConnString("postgres"), "user=postgres", "user="+role, 1)
	}
	return serve(t, c.Dir, "--cluster", as("backup"), "--passthrough", as("passer"))
}

// newTarget is where a copy is to be made.
func (p place) newTarget(t *testing.T) place {
	t.Helper()
	base := p.programs.TempDir(t)
	return place{p.programs, filepath.Join(base, "copy"), filepath.Join(base, "elsewhere")}
}

// backUp takes a backup of what a server serves, whose tablespace is p's.
func (p place) backUp(t *testing.T, s *server, target place, options ...string) {
	t.Helper()
	options = append([]string{"-c", "fast", "--no-sync", "-T", p.tablespace + "=" + target.tablespace}, options...)
	succeed(t, backup(t, s.socketDir, target.dir, options...))
}

// own gives a copy to the user that PostgreSQL runs as.
func (p place) own(t *testing.T) {
	t.Helper()
	must(t, p.programs.Own(p.dir))
	must(t, p.programs.Own(p.tablespace))
}

// verify has pgparallel verify a copy, and the version's own pg_verifybackup, which
// has pg_waldump read the WAL. The programs of others are no judges: see versions.md in docs.
func (p place) verify(t *testing.T, target place, options ...string) {
	t.Helper()
	target.own(t)
	options = append(options, target.dir)
	succeed(t, command(t, append([]string{"verify"}, options...)...))
	if !p.programs.Has("pg_verifybackup") {
		return
	}
	if _, err := p.programs.Run(t.Context(), "pg_verifybackup", options...); err != nil {
		t.Errorf("%v", err)
	}
}

// checkStarted starts PostgreSQL from a copy, which must be consistent.
func (p place) checkStarted(t *testing.T, target place) *postgres.Cluster {
	t.Helper()
	started := p.programs.OpenCluster(t, target.dir)
	must(t, started.Start(t.Context()))
	must(t, started.CheckLoad(t.Context()))
	return started
}

// entries are the names in a copy, with their types.
func (p place) entries(t *testing.T) []string {
	t.Helper()
	var entries []string
	for top, prefix := range map[string]string{p.dir: "", p.tablespace: "tablespace/"} {
		must(t, filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
			if err == nil && name != top {
				entries = append(entries, fmt.Sprintf("%s%q %v", prefix, strings.TrimPrefix(name, top+"/"), e.Type()))
			}
			return err
		}))
	}
	slices.Sort(entries)
	return entries
}

// mentions reports whether the label or the manifest of a copy has a text.
func (p place) mentions(t *testing.T, text string) bool {
	t.Helper()
	found := false
	for _, name := range []string{"backup_label", "backup_manifest"} {
		content, err := os.ReadFile(filepath.Join(p.dir, name))
		must(t, err)
		found = found || bytes.Contains(content, []byte(text))
	}
	return found
}

// plant puts names that mean something to PostgreSQL, or almost do, and names that are
// hard to write down into the cluster. Those with "odd" in them belong into a backup.
func (m *majorCluster) plant(t *testing.T) {
	t.Helper()
	versions, err := filepath.Glob(m.tablespace + "/PG_*/*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("%s holds %v, %v", m.tablespace, versions, err)
	}
	database := filepath.Base(versions[0])
	version := filepath.Dir(versions[0])
	for _, name := range strings.Fields(plantedNames) {
		m.write(t, filepath.Join(m.dir, name))
	}
	for _, name := range hardNames {
		m.write(t, filepath.Join(m.dir, "odd", name))
	}
	for _, name := range []string{
		database + "/t3_99990", database + "/99991", database + "/99991_init", database + "/99992_fsm", database + "/odd",
		"pgsql_tmp/x", "odd/t3_99990", "../PG_9.6_201608131/5/1", "../other",
	} {
		m.write(t, filepath.Join(version, name))
	}
	must(t, os.Symlink("postgresql.conf", filepath.Join(m.dir, "link")))
	for _, dir := range []string{m.dir, m.tablespace} {
		must(t, m.programs.Own(dir))
	}
}

const plantedNames = `
	base/5/t3_99990 base/5/t3_99990_fsm.1 base/5/t3_odd base/5/99991 base/5/99991_init base/5/99991_vm base/5/99991.1
	base/5/99992_fsm base/5/99993_init base/5/odd99994 base/5/099995 base/5/pgsql_tmp99/x base/5/odd/t3_99990
	base/pgsql_tmp/pgsql_tmp1.0 base/5/pg_internal.init base/5/pg_internal.init.99 base/5/pg_internal.initodd
	base/odd/file base/999999/odd odd/odd.pg_internal.init
	global/99993 global/99993_init global/t3_99994 global/odd pg_internal.init pgsql_tmp1 pgsql_tmpodd/x odd_pgsql_tmp
	backup_label.old odd_backup_label tablespace_map.old odd/backup_label odd/backup_manifest odd/postmaster.pid odd/postmaster.opts
	postgresql.auto.conf.tmp odd/postgresql.auto.conf.tmp current_logfiles.tmp current_logfiles odd/current_logfiles.tmp
	recovery.signal.odd odd.signal log/odd.log core.odd pg_hosts.conf.odd pg_hba_odd.conf
	pg_replslot/x/state pg_stat_tmp/x pg_notify/x pg_serial/x pg_snapshots/x pg_subtrans/x pg_dynshmem/x
	odd/pg_replslot/in/x odd/pg_stat_tmp/x odd/pg_notify/x odd/pg_serial/x odd/pg_snapshots/x odd/pg_subtrans/x odd/pg_dynshmem/x
	odd/pg_wal/x odd/pg_xlog/x odd/archive_status/x odd/pg_tblspc/x odd/.hidden .odd odd/..odd
	pg_wal/xlogtemp.99 pg_wal/archive_status/x.done pg_wal/odd_not pg_multixact/odd pg_xact/odd pg_stat/odd
`

var hardNames = []string{
	"with space", " leading", "trailing ", "-dash", "--help", "it's", `"quoted"`, `back\slash`, "new\nline", "tab\ttab", "bell\a",
	"percent %s %d", "{brace}", "$HOME", "*", "?", "~", "#", "=", "a=b", ";", "Ελλάδα 日本語.txt", "not UTF-8 \xff\xfe", "cafe\u0301", "\u200b",
	"CON", "nul", strings.Repeat("n", 95),
}

// write makes a file that holds its own name.
func (m *majorCluster) write(t *testing.T, name string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o750))
	must(t, os.WriteFile(name, []byte(name), 0o640))
}
