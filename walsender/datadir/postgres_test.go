package datadir_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// pg_waldump is the oracle for the end of the WAL of a cluster that was shut down:
// it stops there.
func TestPostgres_4_1_EndOfWAL(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	stopped := open(t, c.Dir, datadir.Options{})
	invalid := regexp.MustCompile(`(?:error in WAL record at|invalid record length at|record with incorrect prev-link.* at) ([0-9A-F]+/[0-9A-F]+)`)
	for _, size := range []int{0, 1000, 5000, 1 << 20} {
		must(t, c.Start(ctx))
		sql(t, c, fmt.Sprintf("select pg_logical_emit_message(false, 'x', repeat('x', %d))", size))
		must(t, c.Stop(ctx, postgres.Fast))
		_, backup, err := stopped.StartBackup(ctx, request(nil))
		must(t, err)
		stop, err := backup.Stop(ctx, true, nil)
		must(t, err)
		_, err = p.Run(ctx, "pg_waldump", "-p", c.Dir+"/pg_wal", "-s", stop.StartPtr.String())
		if err == nil {
			t.Fatal("pg_waldump found no end")
		}
		ends := invalid.FindAllStringSubmatch(err.Error(), -1)
		if len(ends) == 0 || ends[len(ends)-1][1] != stop.StopPtr.String() {
			t.Errorf("the end is %v; pg_waldump says %v", stop.StopPtr, err)
		}
		if _, err := p.Run(ctx, "pg_waldump", "-q", "-p", c.Dir+"/pg_wal", "-s", stop.StartPtr.String(), "-e", stop.StopPtr.String()); err != nil {
			t.Errorf("pg_waldump does not like the range: %v", err)
		}
	}
}

// pg_basebackup is the oracle for what a backup leaves out.
func TestPostgres_4_5_Exclusions(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{Settings: map[string]string{"autovacuum": "off"}})
	must(t, c.Start(ctx))
	outside, inside := p.TempDir(t), c.Dir+"/inside"
	must(t, os.Mkdir(inside, 0o700))
	must(t, p.Own(inside))
	sql(t, c, fmt.Sprintf("create tablespace o location '%s'", outside))
	sql(t, c, fmt.Sprintf("create tablespace i location '%s'", inside))
	for _, where := range []string{"pg_default", "o", "i"} {
		sql(t, c, fmt.Sprintf(`create unlogged table u_%[1]s tablespace %[1]s as select generate_series(1, 1000) i;
			create index on u_%[1]s (i); create table t_%[1]s tablespace %[1]s as select generate_series(1, 1000) i; vacuum u_%[1]s, t_%[1]s`, where))
	}
	plant(t, c.Dir, outside)
	must(t, p.Own(c.Dir))
	must(t, p.Own(outside))
	sql(t, c, "checkpoint")

	backup := filepath.Join(p.TempDir(t), "backup")
	newOutside, newInside := p.TempDir(t), p.TempDir(t)
	_, err := p.Run(ctx, "pg_basebackup", "-d", c.ConnString("postgres"), "-D", backup, "-X", "none", "-c", "fast", "--no-sync",
		"-T", outside+"="+newOutside, "-T", inside+"="+newInside)
	must(t, err)

	d, err := datadir.OpenDir(c.Dir, datadir.DirOptions{})
	must(t, err)
	defer d.Close()
	d.RecoveryOnRestore = true
	var got []string
	tablespaces, err := d.Tablespaces(ctx, false)
	must(t, err)
	for _, ts := range tablespaces {
		for f, err := range d.Files(ctx, ts.Location, func(*protocol.Error) {}) {
			must(t, err)
			got = append(got, f.Path)
		}
	}
	want := slices.DeleteFunc(filesOf(t, backup), func(name string) bool {
		return name == "backup_label" || name == "backup_manifest"
	})
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listing (-pg_basebackup +ours):\n%s", diff)
	}
	if len(got) < 900 {
		t.Errorf("only %d files", len(got))
	}
}

// plant puts files into the directories whose names have a meaning.
func plant(t *testing.T, dir, tablespace string) {
	t.Helper()
	versions, err := filepath.Glob(tablespace + "/PG_*")
	must(t, err)
	database := filepath.Base(filepath.Dir(mustGlob(t, versions[0]+"/*/*")))
	for _, name := range []string{
		"base/5/t3_99990", "base/5/t3_99990_fsm.1", "base/5/t3x", "base/5/99991", "base/5/99991_init", "base/5/99991_vm", "base/5/99991.1",
		"base/5/99992_fsm", "base/5/pgsql_tmp99/x", "base/pgsql_tmp/pgsql_tmp1.0", "base/5/pg_internal.init.99", "global/99993", "global/99993_init",
		"global/t3_99994", "backup_label.old", "postgresql.auto.conf.tmp", "current_logfiles.tmp", "current_logfiles", "recovery.signal.old",
		"log/x.log", "pg_replslot/x/state", "pg_stat_tmp/x", "pg_notify/x", "deep/pg_snapshots/x", "deep/er/file", "deep/backup_manifest",
		"deep/postmaster.pid", "core", "base/5/deep/t3_99990", "pg_wal/xlogtemp.99", "pg_wal/archive_status/x.done",
	} {
		write(t, filepath.Join(dir, name))
	}
	for _, name := range []string{
		versions[0] + "/" + database + "/t3_99990", versions[0] + "/" + database + "/99991", versions[0] + "/" + database + "/99991_init",
		versions[0] + "/pgsql_tmp/x", tablespace + "/PG_14_202107181/5/1", tablespace + "/other",
	} {
		write(t, name)
	}
	must(t, os.Symlink("postgresql.conf", dir+"/link"))
}

func mustGlob(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	must(t, err)
	if len(found) == 0 {
		t.Fatalf("nothing is like %s", pattern)
	}
	return found[0]
}

func write(t *testing.T, name string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(name), 0o644))
}

// filesOf is what lies below dir, with what tablespace links lead to.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	walk := func(top, prefix string) {
		must(t, filepath.WalkDir(top, func(name string, _ fs.DirEntry, err error) error {
			if name != top {
				names = append(names, prefix+strings.TrimPrefix(name, top+"/"))
			}
			return err
		}))
	}
	walk(dir, "")
	links, err := filepath.Glob(dir + "/pg_tblspc/*")
	must(t, err)
	for _, link := range links {
		target, err := os.Readlink(link)
		must(t, err)
		walk(target, "pg_tblspc/"+filepath.Base(link)+"/")
	}
	slices.Sort(names)
	return names
}

// What PostgreSQL says to copies, in each state that can be backed up (§4.1).
func TestPostgres_4_1_Restore(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, primary.Start(ctx))
	location := p.TempDir(t)
	sql(t, primary, fmt.Sprintf("create tablespace o location '%s'", location))
	sql(t, primary, `create table t tablespace o as select generate_series(1, 10000) i; create unlogged table u as select generate_series(1, 1000) i`)
	standby := primary.NewStandby(t, "-T", location+"="+p.TempDir(t))
	must(t, standby.Start(ctx))
	content, err := primary.Fingerprint(ctx)
	must(t, err)

	t.Run("shut down", func(t *testing.T) {
		must(t, primary.Stop(ctx, postgres.Fast))
		dir := filepath.Join(p.TempDir(t), "data")
		stop := restore(t, p, open(t, primary.Dir, datadir.Options{}), dir)
		if stop.Label != "" {
			t.Errorf("label %q", stop.Label)
		}
		compareContent(t, content, startCopy(t, p, dir))
	})
	t.Run("crashed", func(t *testing.T) {
		must(t, primary.Start(ctx))
		sql(t, primary, "insert into t select generate_series(1, 5000)")
		after, err := primary.Fingerprint(ctx)
		must(t, err)
		must(t, primary.Stop(ctx, postgres.Immediate))
		if err := os.Remove(primary.Dir + "/postmaster.pid"); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		dir := filepath.Join(p.TempDir(t), "data")
		restore(t, p, open(t, primary.Dir, datadir.Options{Crashed: true}), dir)
		unlogged := after["postgres/public.u"]
		delete(after, "postgres/public.u")
		copied := startCopy(t, p, dir)
		if got := copied["postgres/public.u"].Rows; got != 0 {
			t.Errorf("the unlogged table has %d rows after recovery, it had %d", got, unlogged.Rows)
		}
		delete(copied, "postgres/public.u")
		compareContent(t, after, copied)
	})
	t.Run("standby", func(t *testing.T) {
		want, err := standby.Fingerprint(ctx)
		must(t, err)
		must(t, standby.Stop(ctx, postgres.Fast))
		dir := filepath.Join(p.TempDir(t), "data")
		stop := restore(t, p, open(t, standby.Dir, datadir.Options{}), dir)
		if stop.Label == "" {
			t.Error("no label")
		}
		compareContent(t, want, startCopy(t, p, dir))
	})
}

func compareContent(t *testing.T, want, got map[string]postgres.Table) {
	t.Helper()
	if len(want) == 0 {
		t.Error("nothing to compare")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("content of the copy (-original +copy):\n%s", diff)
	}
}

// After a promotion the first segment of the new timeline begins with the old
// one's pages.
func TestPostgres_4_7_TimelineBranch(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, primary.Start(ctx))
	standby := primary.NewStandby(t)
	must(t, standby.Start(ctx))
	left := sql(t, primary, "create table before as select 1; select pg_current_wal_flush_lsn()")
	left = left[strings.LastIndex(left, "\n")+1:]
	for sql(t, standby, fmt.Sprintf("select pg_last_wal_replay_lsn() >= '%s'", left)) != "t" {
		// the server answers at its own pace; t.Context ends this if it never does
	}
	must(t, standby.Promote(ctx))
	sql(t, standby, "create table after as select 1; checkpoint")
	must(t, standby.Stop(ctx, postgres.Fast))
	stopped := open(t, standby.Dir, datadir.Options{})

	history, err := stopped.TimelineHistory(ctx, 2)
	must(t, err)
	fields := strings.Fields(string(history.Content))
	branch, err := protocol.ParseLSN(fields[1])
	must(t, err)
	name := protocol.WALFileName(2, branch, 1<<20)
	data, err := os.ReadFile(filepath.Join(standby.Dir, "pg_wal", name))
	must(t, err)
	if data[4] != 1 {
		t.Fatalf("%s begins with a page of timeline %d: this is no test", name, data[4])
	}
	var names []string
	for f, err := range stopped.WALFiles(ctx, branch, branch+1) {
		must(t, err)
		names = append(names, filepath.Base(f.Path))
	}
	if !slices.Contains(names, name) || !slices.Contains(names, "00000002.history") {
		t.Errorf("listed are %q, without %s or its history", names, name)
	}
	file, err := stopped.Open(ctx, "pg_wal/"+name, protocol.OpenOptions{})
	must(t, err)
	must(t, file.Close())
}

// Every page of a healthy cluster is found healthy, each damaged one is found,
// as by pg_checksums.
func TestPostgres_4_6_Checksums(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, c.Start(ctx))
	sql(t, c, "create table t as select generate_series(1, 20000) i; create index on t (i); vacuum t")
	file := sql(t, c, "select pg_relation_filepath('t')")
	must(t, c.Stop(ctx, postgres.Fast))
	stopped := open(t, c.Dir, datadir.Options{})
	if failures, warnings := verifyAll(t, stopped); failures != 0 {
		t.Errorf("%d failures in a healthy cluster: %q", failures, warnings)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, file), os.O_RDWR, 0)
	must(t, err)
	for _, block := range []int64{3, 7} {
		_, err = f.WriteAt([]byte{0xAA, 0x55, 0xAA, 0x55}, block*8192+8000)
		must(t, err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xFF}, 16), 5*8192) // an LSN that is beyond all others
	must(t, err)
	must(t, f.Close())
	failures, warnings := verifyAll(t, stopped)
	if failures != 3 {
		t.Errorf("%d failures: %q", failures, warnings)
	}
	_, err = p.Run(ctx, "pg_checksums", "--check", "-D", c.Dir)
	if err == nil {
		t.Fatal("pg_checksums found nothing")
	}
	pattern := regexp.MustCompile(`block (\d+): calculated checksum ([0-9A-F]+) but block contains ([0-9A-F]+)`)
	for _, found := range pattern.FindAllStringSubmatch(err.Error(), -1) {
		want := fmt.Sprintf(`checksum verification failed in file "./%s", block %s: calculated %s but expected %s`, file, found[1], found[2], found[3])
		if !slices.Contains(warnings, want) {
			t.Errorf("warnings are %q, without %s", warnings, want)
		}
	}
}

// verifyAll reads every file of the data directory.
func verifyAll(t *testing.T, c *datadir.Stopped) (failures int, warnings []string) {
	t.Helper()
	verified := 0
	notice := func(e *protocol.Error) { warnings = append(warnings, e.Message) }
	for f, err := range c.Files(t.Context(), "", notice) {
		must(t, err)
		if f.Type != protocol.TypeFile {
			continue
		}
		file, err := c.Open(t.Context(), f.Path, protocol.OpenOptions{VerifyChecksums: true, Notice: notice})
		must(t, err)
		buffer := make([]byte, 128<<10)
		for err == nil {
			_, err = file.Read(buffer)
		}
		if v, ok := file.(interface{ ChecksumFailures() int }); ok {
			verified++
			failures += v.ChecksumFailures()
		}
		must(t, file.Close())
	}
	if verified < 500 {
		t.Errorf("only %s files were verified", strconv.Itoa(verified))
	}
	return failures, warnings
}
