package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// refreshKills are where a refresh is killed, in the order in which it is taken up.
var refreshKills = []struct {
	query string
	n     int
}{
	{"START_BACKUP", 1},
	{"SEND_FILE", 1},
	{"SEND_FILE", 500},
	{"FILE_DIGESTS", 1},
	{"FILE_DIGESTS", 100},
	{"SEND_FILE", 100},
	{"LIST_FILES", 1},
	{"SEND_FILE ('global/pg_control')", 1},
	{"STOP_BACKUP", 1},
	{"SEND_FILE ('pg_wal/", 1},
}

// kill -9 ends the client and the server in turn, twenty times, and the next refresh takes up
// what is there. At no time is that a backup, and at last it is one.
func TestRefresh_5_6_KilledAgainAndAgain_Long(t *testing.T) {
	longtest.Mark(t)
	cluster, location := small(t)
	base := cluster.Programs.TempDir(t)
	dir, tablespace := filepath.Join(base, "copy"), filepath.Join(base, "elsewhere")
	options := []string{"--refresh", "-v", "-j", "2", "--no-sync", "--no-clean", "-T", location + "=" + tablespace}
	s := serve(t, cluster.Dir)
	for _, at := range refreshKills {
		for _, victim := range []string{"client", "server"} {
			g := newGate(t, s, at.query, at.n)
			b := start(t, backup(t, g.socketDir, dir, options...))
			g.wait(t, b)
			if victim == "client" {
				b.signal(unix.SIGKILL)
			} else {
				s.signal(unix.SIGKILL)
				s.wait(t)
				g.hangUp() // the server is gone
			}
			b.wait(t)
			if b.status() == 0 {
				t.Fatalf("%s killed at %s %d: the backup succeeds", victim, at.query, at.n)
			}
			checkRefused(t, cluster.Programs, base, dir)
			if v := run(t, command(t, "verify", dir)); v.status() == 0 {
				t.Errorf("%s killed at %s %d: it passes for a backup", victim, at.query, at.n)
			}
			if victim == "server" {
				s = serve(t, cluster.Dir)
			}
		}
	}
	b := succeed(t, backup(t, s.socketDir, dir, options...))
	if !strings.Contains(b.stderr.String(), "kept ") {
		t.Errorf("nothing was kept:\n%s", b.stderr.String())
	}
	verifyBackup(t, cluster.Programs, dir, tablespace)
	checkSameContent(t, cluster, dir)
}

// checkSameContent starts a copy of a cluster that is stopped, and compares the two.
func checkSameContent(t *testing.T, cluster *postgres.Cluster, dir string) {
	t.Helper()
	var prints [2]any
	for i, at := range []string{cluster.Dir, dir} {
		c := cluster.Programs.OpenCluster(t, at)
		must(t, c.Start(t.Context()))
		print, err := c.Fingerprint(t.Context())
		must(t, err)
		must(t, c.Stop(t.Context(), postgres.Fast))
		prints[i] = print
	}
	if fmt.Sprint(prints[0]) != fmt.Sprint(prints[1]) {
		t.Errorf("the copy has %v, the cluster %v", prints[1], prints[0])
	}
}

// Beside a server with writers, a refresh brings its copy to the state of the end, and says
// what that has cost.
func TestRefresh_8_3_RunningCluster(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	sql(t, source, `create table big as select i, repeat('x', 200) x from generate_series(1, 40000) i; create table small (i int)`)
	s := serve(t, source.Dir, "--cluster", source.ConnString("postgres"), "--passthrough-superuser", "postgres")
	dir := filepath.Join(p.TempDir(t), "copy")
	succeed(t, backup(t, s.socketDir, dir, "-c", "fast", "--no-sync"))

	sql(t, source, `update big set x = 'changed' where i between 20000 and 20100; insert into small select generate_series(1, 10)`)
	g := newGate(t, s, "FILE_DIGESTS", 3) // a writer in the middle of the comparison
	b := start(t, backup(t, g.socketDir, dir, "-c", "fast", "--no-sync", "--refresh", "-j", "2", "--json"))
	g.wait(t, b)
	sql(t, source, `update big set x = 'late' where i between 30000 and 30100; checkpoint`)
	g.open()
	b.wait(t)
	if b.status() != 0 {
		t.Fatalf("the refresh fails: %v", b.cmd.ProcessState)
	}
	lines := strings.Split(strings.TrimSpace(b.stdout.String()), "\n")
	if text := b.stderr.String(); text != "" {
		t.Errorf("without -v and -P it says: %s", text)
	}
	if result := lines[len(lines)-1]; !strings.Contains(result, `"kept_files":`) || strings.Contains(result, `"kept_bytes":0,`) {
		t.Errorf("the result says %s", result)
	}
	verifyBackup(t, p, dir)
	copied := p.OpenCluster(t, dir)
	must(t, copied.Start(ctx))
	if got := sql(t, copied, `select count(*) filter (where x = 'changed'), count(*) filter (where x = 'late'), count(*) from big`); got != "101|101|40000" {
		t.Errorf("the copy has %s", got)
	}
	must(t, copied.Stop(ctx, postgres.Fast))

	// What a server was started from is no backup any more.
	r := run(t, backup(t, s.socketDir, dir, "-c", "fast", "--refresh"))
	if r.status() != 1 || !strings.Contains(r.stderr.String(), "a server was started from it") {
		t.Errorf("of what was started from: %v\n%s", r.cmd.ProcessState, r.stderr.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "postmaster.opts")); err != nil {
		t.Error(err)
	}
}

// A backup with several directories is refreshed in place: also when tablespaces of the cluster
// have been added, moved and dropped since.
func TestRefresh_5_6_InPlaceWithTablespaces_Long(t *testing.T) {
	longtest.Mark(t)
	cluster, location := small(t)
	ctx, p := t.Context(), cluster.Programs
	s, base := serve(t, cluster.Dir), p.TempDir(t)
	dir, wal, space, more := filepath.Join(base, "copy"), filepath.Join(base, "wal"), filepath.Join(base, "space"), filepath.Join(base, "more")
	here := []string{"--no-sync", "-j", "2", "--waldir", wal, "-T", location + "=" + space}
	succeed(t, backup(t, s.socketDir, dir, here...))

	for want, options := range map[string][]string{
		"can only be refreshed in place": here,
		"name that as its WAL directory": {"--in-place", "--no-sync", "-T", location + "=" + space},
	} {
		r := run(t, backup(t, s.socketDir, dir, append(options, "--refresh")...))
		if r.status() != 1 || !strings.Contains(r.stderr.String(), want) {
			t.Errorf("%v: %v, want %s:\n%s", options, r.cmd.ProcessState, want, r.stderr.String())
		}
		verifyBackup(t, p, dir, wal, space) // nothing has changed
	}

	// Another tablespace, and changes in the first.
	added, moved := p.TempDir(t), filepath.Join(p.TempDir(t), "moved")
	must(t, cluster.Start(ctx))
	sql(t, cluster, fmt.Sprintf(`update there set md5 = 'changed' where i %% 1000 = 0; create tablespace more location '%s';
		create table further tablespace more as table here`, added))
	further := sql(t, cluster, "select pg_relation_filepath('further')")
	must(t, cluster.Stop(ctx, postgres.Fast))
	here = append(here, "--refresh", "--in-place", "-P")
	b := succeed(t, backup(t, s.socketDir, dir, append(here, "-T", added+"="+more)...))
	if said := b.stderr.String(); !strings.Contains(said, "kept ") || strings.Contains(said, "warning") {
		t.Errorf("it says\n%s", said)
	}
	verifyBackup(t, p, dir, wal, space, more)

	// The first is dropped, and the second has moved: in the copy it stays where it is.
	must(t, cluster.Start(ctx))
	sql(t, cluster, "drop table there")
	sql(t, cluster, "drop tablespace elsewhere")
	must(t, cluster.Stop(ctx, postgres.Fast))
	link := filepath.Join(cluster.Dir, filepath.Dir(filepath.Dir(filepath.Dir(further))))
	must(t, os.Rename(added, moved))
	must(t, os.Remove(link))
	must(t, os.Symlink(moved, link))
	inode := inodeOf(t, filepath.Join(dir, further))
	b = succeed(t, backup(t, s.socketDir, dir, "--no-sync", "--waldir", wal, "--refresh", "--in-place", "-T", moved+"="+more))
	if said := b.stderr.String(); !strings.Contains(said, fmt.Sprintf("warning: directory %q was that of tablespace", space)) {
		t.Errorf("it does not warn of what the dropped tablespace has left:\n%s", said)
	}
	if inodeOf(t, filepath.Join(dir, further)) != inode {
		t.Error("a table of the tablespace that has moved was copied again")
	}
	if links, _ := filepath.Glob(filepath.Join(dir, "pg_tblspc/*")); len(links) != 1 {
		t.Errorf("the copy has the links %q", links)
	}

	// Of an unchanged cluster nothing is removed.
	b = succeed(t, backup(t, s.socketDir, dir, "--no-sync", "--waldir", wal, "--refresh", "--in-place", "-P", "-T", moved+"="+more))
	if said := b.stderr.String(); !strings.Contains(said, "removed 0 files") {
		t.Errorf("it says\n%s", said)
	}
	verifyBackup(t, p, dir, wal, more)

	// Into other directories the new backup is made beside the old one, whose directories go.
	otherWAL, other := filepath.Join(base, "otherwal"), filepath.Join(base, "other")
	succeed(t, backup(t, s.socketDir, dir, "--no-sync", "--waldir", otherWAL, "--refresh", "-T", moved+"="+other))
	for _, old := range []string{wal, more, dir + ".pgparallel-refresh"} {
		if _, err := os.Stat(old); err == nil {
			t.Errorf("%s is there still", old)
		}
	}
	verifyBackup(t, p, dir, otherWAL, other)
	succeed(t, command(t, "verify", dir))
	checkSameContent(t, cluster, dir)
}

// inodeOf is the inode of what a path leads to.
func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	must(t, unix.Stat(path, &stat))
	return stat.Ino
}
