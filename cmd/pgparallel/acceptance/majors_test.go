package acceptance_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// TestMajor backs up a cluster of the major version that the machine has in every way,
// and has that version's own programs judge the copies. With -v it prints a table.
func TestMajor(t *testing.T) {
	testMajors(t, postgres.Require(t).Major)
}

// TestMajors_Long is TestMajor for all versions; "make postgres" fetches them.
func TestMajors_Long(t *testing.T) {
	longtest.Mark(t)
	testMajors(t, postgres.Majors()...)
}

func testMajors(t *testing.T, majors ...int) {
	var table majorTable
	t.Cleanup(func() { t.Log("\n" + table.String()) }) // the versions are tested side by side
	for _, major := range majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			m := newMajorCluster(t, postgres.RequireMajor(t, major))
			row := table.add(m.programs)
			for _, step := range []struct {
				name string
				test func(*testing.T)
			}{
				{"files", m.testFiles},
				{"live, -X stream", func(t *testing.T) { m.testLive(t, "stream") }},
				{"live, -X fetch", func(t *testing.T) { m.testLive(t, "fetch") }},
				{"archives", m.testArchives},
				{"passed through", m.testPassedThrough},
				{"standby", m.testStandby},
				{"stopped", m.testStopped}, // the last, for the primary stays stopped
			} {
				t.Run(step.name, func(t *testing.T) {
					began := time.Now()
					defer func() { row.note(step.name, t, time.Since(began)) }()
					step.test(t)
				})
			}
		})
	}
}

// testFiles compares what is in a backup, entry by entry, with what the server's own
// BASE_BACKUP puts into one.
func (m *majorCluster) testFiles(t *testing.T) {
	m.plant(t)
	sql(t, m.Cluster, "checkpoint")
	stock, ours := m.newTarget(t), m.newTarget(t)
	_, err := m.programs.Run(t.Context(), "pg_basebackup", "-d", m.ConnString("postgres"), "-D", stock.dir, "-T", m.tablespace+"="+stock.tablespace,
		"-X", "none", "-c", "fast", "--no-sync")
	must(t, err)
	m.backUp(t, m.live, ours, "-X", "none")
	m.verify(t, ours, "--no-parse-wal")

	got, want := ours.entries(t), stock.entries(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-pg_basebackup +ours):\n%s", diff)
	}
	if planted := strings.Count(strings.Join(got, "\n"), "odd"); planted < 40 {
		t.Errorf("only %d of the planted names are in the backup", planted)
	}
	for _, form := range []string{`"Start-LSN": "0/0`, "START WAL LOCATION: 0/0"} { // 19 prints the zeros
		if got, want := ours.mentions(t, form), stock.mentions(t, form); got != want {
			t.Errorf("a file of the backup has %q: %v, of pg_basebackup's: %v", form, got, want)
		}
	}
}

// testLive takes a backup while pgbench writes and relations come and go.
func (m *majorCluster) testLive(t *testing.T, method string) {
	target := m.newTarget(t)
	stopLoad, stopDDL := m.StartLoad(t), m.StartDDL(t)
	m.backUp(t, m.live, target, "-j", "4", "-X", method)
	stopDDL()
	stopLoad()
	m.verify(t, target)
	m.checkStarted(t, target)
}

// testArchives has archives of every compression verified, with their WAL, by
// pg_verifybackup, too, which reads archives from 18 on, and from 19 on the WAL in them.
func (m *majorCluster) testArchives(t *testing.T) {
	for _, method := range []string{"none", "gzip", "lz4", "zstd"} {
		target := m.newTarget(t)
		m.backUp(t, m.live, target, "-F", "t", "-Z", method, "-X", "stream")
		succeed(t, command(t, "verify", "-j", "2", target.dir))
		if m.programs.Major < 18 {
			continue
		}
		must(t, m.programs.Own(target.dir))
		arguments := []string{target.dir}
		if m.programs.Major == 18 {
			arguments = append(arguments, "--no-parse-wal")
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if out, err := m.programs.Run(ctx, "pg_verifybackup", arguments...); err != nil || !strings.Contains(out, "successfully verified") {
			t.Errorf("%s: %v\n%s", method, err, out)
		}
	}
}

// testPassedThrough runs the programs that know nothing of pgparallel.
func (m *majorCluster) testPassedThrough(t *testing.T) {
	through := fmt.Sprintf("host=%s port=5433 user=postgres dbname=postgres", m.live.socketDir)
	must(t, m.programs.Own(m.live.socketDir))
	target := m.newTarget(t)
	_, err := m.programs.Run(t.Context(), "pg_basebackup", "-d", through, "-D", target.dir, "-T", m.tablespace+"="+target.tablespace,
		"-X", "stream", "-c", "fast", "--no-sync")
	must(t, err)
	m.verify(t, target)
	m.checkStarted(t, target)

	received := m.programs.TempDir(t)
	sql(t, m.Cluster, "select pg_switch_wal(); create table received ()")
	segment := sql(t, m.Cluster, "select pg_walfile_name(pg_current_wal_flush_lsn())")
	end := sql(t, m.Cluster, "select pg_current_wal_flush_lsn()")
	sql(t, m.Cluster, "create table passed ()") // it stops beyond the end, not at it
	_, err = m.programs.Run(t.Context(), "pg_receivewal", "-d", through, "-D", received, "--endpos", end, "--no-loop", "--no-sync")
	must(t, err)
	got, err := os.ReadFile(filepath.Join(received, segment+".partial"))
	must(t, err)
	want, err := os.ReadFile(filepath.Join(m.dir, "pg_wal", segment))
	must(t, err)
	length := len(strings.TrimRight(string(got), "\x00"))
	if length == 0 || string(got[:length]) != string(want[:length]) {
		t.Errorf("pg_receivewal wrote %d bytes of %s, which are not the cluster's", length, segment)
	}
}

// testStandby takes a backup of a standby that replays what writers do on the primary,
// and another one when it has been stopped.
func (m *majorCluster) testStandby(t *testing.T) {
	ctx := t.Context()
	copied := m.newTarget(t)
	m.backUp(t, m.live, copied, "-X", "stream")
	must(t, os.WriteFile(filepath.Join(copied.dir, "standby.signal"), nil, 0o600))
	copied.own(t)
	standby := m.programs.OpenCluster(t, copied.dir)
	must(t, standby.Configure(map[string]string{"primary_conninfo": m.ConnString("postgres")}))
	must(t, standby.Start(ctx))

	target := m.newTarget(t)
	stopLoad, stopDDL := m.StartLoad(t), m.StartDDL(t)
	live := serveLive(t, standby)
	copied.backUp(t, live, target, "-j", "4", "-X", "stream")
	stopDDL()
	stopLoad()
	m.verify(t, target)
	must(t, os.Remove(filepath.Join(target.dir, "standby.signal")))
	m.checkStarted(t, target)

	must(t, standby.Stop(ctx, postgres.Fast))
	again := m.newTarget(t)
	copied.backUp(t, serve(t, copied.dir), again)
	m.verify(t, again)
	if got, want := again.mentions(t, "START WAL LOCATION: 0/0"), m.programs.Major >= 19; got != want {
		t.Errorf("the label that the server wrote itself has a position with leading zeros: %v, want %v (§2.3)", got, want)
	}
	must(t, os.Remove(filepath.Join(again.dir, "standby.signal")))
	m.checkStarted(t, again)
}

// testStopped takes a backup of the stopped cluster, whose content must be the same to
// the row, and whose modes are those of a cluster that its group may read.
func (m *majorCluster) testStopped(t *testing.T) {
	ctx := t.Context()
	want, err := m.Fingerprint(ctx)
	must(t, err)
	must(t, m.Stop(ctx, postgres.Fast))
	target := m.newTarget(t)
	m.backUp(t, serve(t, m.dir), target, "-j", "4")
	checkModes(t, 0o750, 0o640, target.dir, target.tablespace)
	m.verify(t, target)
	started := m.checkStarted(t, target)
	got, err := started.Fingerprint(ctx)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the copy differs (-original +copy):\n%s", diff)
	}
}
