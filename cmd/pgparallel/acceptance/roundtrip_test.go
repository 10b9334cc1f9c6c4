package acceptance_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A stopped cluster is backed up with one, four and sixteen workers. PostgreSQL
// verifies each copy, starts from it, and finds in it what was in the original. The
// manifests are the same bytes, their times included: of a cluster that does not run
// nothing changes.
func TestStoppedCluster_WithOneAndSixteenJobs_Long(t *testing.T) {
	longtest.Mark(t)
	stoppedCluster(t, 1, 16)
}

func TestStoppedCluster_WithFourJobs(t *testing.T) { stoppedCluster(t, 4) }

func stoppedCluster(t *testing.T, counts ...int) {
	t.Parallel()
	o := newOriginal(t)
	s := serve(t, o.cluster.Dir, "--max-wal-senders=20")
	var first []byte
	for _, jobs := range counts {
		t.Run(fmt.Sprintf("-j %d", jobs), func(t *testing.T) {
			c := o.backUp(t, s, jobs)
			if first == nil {
				first = c.manifest
			}
			if !bytes.Equal(first, c.manifest) {
				t.Errorf("the manifest is not that of the first copy:\n%s", firstDifference(first, c.manifest))
			}
			o.checkFiles(t, c)
			o.checkStarted(t, c)
		})
	}
	s.signal(unix.SIGTERM)
	s.wait(t)
	if s.status() != 0 || strings.Contains(s.stderr.String(), "unexpected EOF") {
		t.Errorf("the server, with exit status %d, takes the end of a backup for a failure:\n%s", s.status(), s.stderr.String())
	}
}

// A label must not be there: with one the copy would never start. Nor must what the
// original leaves behind of its own.
func (o *original) checkFiles(t *testing.T, c duplicate) {
	t.Helper()
	for name, content := range o.strays {
		got, err := os.ReadFile(filepath.Join(c.dir, name))
		if err != nil || string(got) != content {
			t.Errorf("%q holds %q, %v; want %q", name, got, err, content)
		}
	}
	for _, name := range []string{
		"backup_label", "tablespace_map", "postmaster.pid", "postmaster.opts",
		"base/pgsql_tmp", "global/pg_control.incomplete",
	} {
		if exists(t, filepath.Join(c.dir, name)) {
			t.Errorf("%s is in the copy", name)
		}
	}
	left, err := filepath.Glob(c.tablespace + "/PG_*/pgsql_tmp*")
	if must(t, err); left != nil {
		t.Errorf("%s are in the copy", left)
	}
	checkModes(t, 0o700, 0o600, c.dir, c.tablespace)
}

func (o *original) checkStarted(t *testing.T, c duplicate) {
	t.Helper()
	ctx := t.Context()
	verifyBackup(t, o.programs, c.dir, c.tablespace)
	started := o.programs.OpenCluster(t, c.dir)
	must(t, started.Start(ctx))
	got, err := started.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(o.fingerprint, got); diff != "" {
		t.Errorf("the copy differs (-original +copy):\n%s", diff)
	}
	if got := sql(t, started, "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'elsewhere'"); got != c.tablespace {
		t.Errorf("the tablespace is in %q, want %q", got, c.tablespace)
	}
	connection := []string{"-h", started.SocketDir, "-p", fmt.Sprint(started.Port), "-U", "postgres"}
	if _, err := o.programs.Run(ctx, "pg_dumpall", append(connection, "--no-sync", "-f", os.DevNull)...); err != nil {
		t.Errorf("%v", err)
	}
	if out, err := o.programs.Run(ctx, "pg_amcheck", append(connection, "--all", "--install-missing")...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	must(t, started.Stop(ctx, postgres.Fast))
}

// A standby that was stopped gives a label, by which its copy recovers to where it
// was, and goes on as a standby.
func TestStandby_StoppedCleanly(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1})
	must(t, primary.Start(ctx))
	must(t, primary.Pgbench(ctx, "postgres", "-i", "-q", "-s", "1"))
	standby := primary.NewStandby(t)
	must(t, standby.Start(ctx))
	sql(t, primary, "create table late as select generate_series(1, 10000) i; create unlogged table u as select 1 i")
	must(t, primary.Stop(ctx, postgres.Fast)) // it waits until the standby has all of it
	want, err := standby.Fingerprint(ctx)
	must(t, err)
	if want["postgres/public.late"].Rows != 10000 {
		t.Fatalf("the standby is not up to date: %v", want)
	}
	must(t, standby.Stop(ctx, postgres.Fast))

	s := serve(t, standby.Dir)
	dir := filepath.Join(p.TempDir(t), "copy")
	succeed(t, backup(t, s.socketDir, dir, "-j", "3", "--no-sync", "-l", "of a standby"))
	label, err := os.ReadFile(filepath.Join(dir, "backup_label"))
	must(t, err)
	for _, line := range []string{"BACKUP METHOD: streamed\n", "BACKUP FROM: standby\n", "LABEL: of a standby\n", "START TIMELINE: 1\n"} {
		if !strings.Contains(string(label), line) {
			t.Errorf("the label lacks %q:\n%s", line, label)
		}
	}
	verifyBackup(t, p, dir)

	started := p.OpenCluster(t, dir)
	must(t, started.Start(ctx))
	got, err := started.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the copy differs (-original +copy):\n%s", diff)
	}
	must(t, started.Promote(ctx))
	if got := sql(t, started, "select count(*) from u"); got != "0" {
		t.Errorf("the unlogged table has %s rows after recovery, want none", got)
	}
}

// The copy of a cluster that its group may read can be read by its group, whatever
// the umask is.
func TestGroupAccess_ClusterMadeWithInitdbG(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{Checksums: true, GroupAccess: true, WALSegmentSizeMB: 1})
	location := p.TempDir(t)
	must(t, c.Start(ctx))
	sql(t, c, fmt.Sprintf("create tablespace elsewhere location '%s'; create table t tablespace elsewhere as select generate_series(1, 1000) i", location))
	want, err := c.Fingerprint(ctx)
	must(t, err)
	must(t, c.Stop(ctx, postgres.Fast))

	s := serve(t, c.Dir)
	base := p.TempDir(t)
	dir, tablespace := filepath.Join(base, "copy"), filepath.Join(base, "elsewhere")
	cmd := backup(t, s.socketDir, dir, "-j", "2", "--no-sync", "-T", location+"="+tablespace)
	shell := exec.Command("/bin/sh", append([]string{"-c", `umask 077; exec "$0" "$@"`}, cmd.Args...)...)
	shell.Env = cmd.Env
	succeed(t, shell)
	checkModes(t, 0o750, 0o640, dir, tablespace)
	verifyBackup(t, p, dir, tablespace)

	started := p.OpenCluster(t, dir)
	must(t, started.Start(ctx))
	got, err := started.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the copy differs (-original +copy):\n%s", diff)
	}
}

// checkModes looks at every directory and every file below the directories, and at
// these themselves.
func checkModes(t *testing.T, directory, file fs.FileMode, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.Type()&fs.ModeSymlink != 0 {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			want := file
			if e.IsDir() {
				want = directory
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %v, want %v", name, got, want)
			}
			return nil
		}))
	}
}

// firstDifference is the first line in which two texts differ, of both.
func firstDifference(a, b []byte) string {
	as, bs := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(as), len(bs))
}
