package acceptance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestServeBackup_9_3 takes backups of a cluster that works, makes copies of them without
// it, and has PostgreSQL judge the copies. Then one becomes a standby that streams from the
// cluster.
func TestServeBackup_9_3(t *testing.T) {
	m := newMajorCluster(t, postgres.Require(t))
	m.testServeBackup(t, "ours in tar", sourceBackup{options: []string{"-F", "t", "-X", "stream"}}, true, true)
	t.Run("standby", m.testStandbyOfBackup)
}

// sourceBackups are the kinds of backups that copies are made of.
var sourceBackups = []struct {
	name string
	sourceBackup
}{
	{"stock in tar", sourceBackup{stock: true, options: []string{"-F", "t", "-X", "stream"}}},
	{"stock in plain, fetched", sourceBackup{stock: true, options: []string{"-X", "fetch", "--manifest-force-encode"}}},
	{"ours in plain", sourceBackup{options: []string{"-X", "stream", "--manifest-checksums=SHA256"}}},
	{"stock in plain without WAL", sourceBackup{stock: true, options: []string{"-X", "none"}}},
	{"ours in tar", sourceBackup{options: []string{"-F", "t", "-X", "fetch", "-j", "3"}}},
	{"stock in plain", sourceBackup{stock: true, options: []string{"-X", "stream"}}},
	{"stock in tar, fetched", sourceBackup{stock: true, options: []string{"-F", "t", "-X", "fetch"}}},
}

// TestServeBackup_9_3_Long is TestServeBackup_9_3 for all versions, each with a backup of
// another kind, and copies by this client and by pg_basebackup in turn; with
// PGPARALLEL_LONG=all each with every kind, and both copies.
func TestServeBackup_9_3_Long(t *testing.T) {
	longtest.Mark(t)
	majors := postgres.Majors()
	for i, major := range majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			m := newMajorCluster(t, postgres.RequireMajor(t, major))
			for k, source := range sourceBackups {
				inPlace := major == 15 && source.stock && source.has("-F t") // it leaves tablespaces in place out of archives
				if (i == k || longtest.Whole()) && !inPlace {
					odd := i%2 != 0
					m.testServeBackup(t, source.name, source.sourceBackup, odd || longtest.Whole(), !odd || longtest.Whole())
				}
			}
			if i == len(majors)-1 || longtest.Whole() {
				t.Run("standby", m.testStandbyOfBackup)
			}
		})
	}
}

// sourceBackup is how a backup is taken that copies are made of.
type sourceBackup struct {
	stock   bool // with pg_basebackup
	options []string
}

func (b sourceBackup) has(option string) bool {
	return strings.Contains(strings.Join(b.options, " "), option)
}

// testServeBackup takes a backup of the cluster, makes copies of that by this client, by
// pg_basebackup or by both, and has PostgreSQL judge them.
func (m *majorCluster) testServeBackup(t *testing.T, name string, source sourceBackup, ours, stock bool) {
	t.Run(name, func(t *testing.T) {
		taken := m.newTarget(t)
		stop := m.StartLoad(t)
		m.take(t, source, taken)
		stop()
		served := serve(t, taken.dir, "--verify")
		from := taken
		if source.has("-F t") && source.stock {
			from.tablespace = m.tablespace // tablespace_map has it, for -T does nothing to archives
		}
		if ours {
			m.copyBackup(t, source, taken, from, served)
		}
		if stock && !source.has("-X none") {
			target := m.newTarget(t)
			from.stockBackUp(t, served, target, "-P") // its WAL is streamed, by default
			m.verify(t, target)
			m.checkStarted(t, target)
			from.stockBackUp(t, served, m.newTarget(t), "-X", "fetch", "-F", "t")
		}
	})
}

// copyBackup copies the backup that is served, in both formats.
func (m *majorCluster) copyBackup(t *testing.T, source sourceBackup, taken, from place, served *server) {
	t.Helper()
	wal := []string{}
	if source.has("-X none") {
		wal = []string{"-X", "none"}
	}
	plain, tar := m.newTarget(t), m.newTarget(t)
	from.backUp(t, served, plain, append(wal, "-j", "4")...)
	from.backUp(t, served, tar, append(wal, "-j", "4", "-F", "t")...)
	if len(wal) > 0 {
		plain.own(t)
		m.verify(t, plain, "--no-parse-wal")
		return
	}
	succeed(t, command(t, "verify", tar.dir))
	m.verify(t, plain)
	if diff := cmp.Diff(source.label(t, taken), read(t, filepath.Join(plain.dir, "backup_label"))); diff != "" {
		t.Errorf("label (-backup +copy):\n%s", diff)
	}
	m.checkStarted(t, plain)
}

// take takes a backup of the cluster that runs.
func (m *majorCluster) take(t *testing.T, source sourceBackup, target place) {
	t.Helper()
	options := append([]string{"-D", target.dir, "-c", "fast", "--no-sync"}, source.options...)
	if !source.has("-F t") {
		options = append(options, "-T", m.tablespace+"="+target.tablespace)
	}
	if source.stock {
		_, err := m.programs.Run(t.Context(), "pg_basebackup", append(options, "-d", m.ConnString("postgres"))...)
		must(t, err)
		return
	}
	m.backUp(t, m.live, target, source.options...)
}

// stockBackUp has pg_basebackup do what backUp does.
func (p place) stockBackUp(t *testing.T, s *server, target place, options ...string) {
	t.Helper()
	must(t, p.programs.Own(s.socketDir))
	options = append([]string{"-h", s.socketDir, "-p", "5433", "-U", "postgres", "-D", target.dir, "-c", "fast", "--no-sync",
		"-T", p.tablespace + "=" + target.tablespace}, options...)
	_, err := p.programs.Run(t.Context(), "pg_basebackup", options...)
	must(t, err)
}

// label is the label of a backup that was taken.
func (b sourceBackup) label(t *testing.T, taken place) string {
	t.Helper()
	if !b.has("-F t") {
		return read(t, filepath.Join(taken.dir, "backup_label"))
	}
	into := t.TempDir()
	succeed(t, exec.Command("tar", "-xf", filepath.Join(taken.dir, "base.tar"), "-C", into, "backup_label"))
	return read(t, filepath.Join(into, "backup_label"))
}

// testStandbyOfBackup makes a standby of a backup, while the cluster goes on. The standby
// then streams what came since from the cluster.
func (m *majorCluster) testStandbyOfBackup(t *testing.T) {
	ctx := t.Context()
	taken := m.newTarget(t)
	m.take(t, sourceBackup{}, taken)
	sql(t, m.Cluster, "create table since_the_backup as select 42 as answer")

	target := m.newTarget(t)
	taken.backUp(t, serve(t, taken.dir), target, "-j", "4", "-R", "--primary-conninfo="+m.ConnString("postgres"))
	target.own(t)
	standby := m.programs.OpenCluster(t, target.dir)
	must(t, standby.Start(ctx))
	end := sql(t, m.Cluster, "select pg_current_wal_flush_lsn()")
	for sql(t, standby, "select pg_last_wal_replay_lsn() >= '"+end+"' from pg_sleep(0.05)") != "t" {
		if ctx.Err() != nil {
			t.Fatal("the standby does not come to where the cluster is")
		}
	}
	if answer := sql(t, standby, "select answer from since_the_backup"); answer != "42" {
		t.Errorf("the standby has %q", answer)
	}
	must(t, standby.Stop(ctx, postgres.Fast))

	// A backup that was started is the cluster that it has become.
	again := m.newTarget(t)
	s := serve(t, target.dir)
	target.backUp(t, s, again)
	if !strings.Contains(s.stderr.String(), "serving a cluster, not the backup that it was made from") {
		t.Error("the log does not say what is served")
	}
	m.verify(t, again)
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return string(content)
}
