package walrecord

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

const testSegment = 1 << 20

// seen is what is compared of a record.
type seen struct {
	Start, Previous protocol.LSN
	Length          int
}

// The records of real WAL are those that pg_waldump finds, in one run and in one for each
// segment: of many sizes, longer than a segment, behind a switch, and given up in a crash.
func TestRun_PostgreSQL(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "1GB", "autovacuum": "off"}})
	must(t, c.Start(ctx))
	query := func(sql string) string {
		out, err := c.SQL(ctx, "postgres", sql)
		must(t, err)
		return strings.TrimSpace(out)
	}
	began, stopped := "pg_backup_start('x', true)", "pg_backup_stop(false)"
	if p.Major < 15 {
		began, stopped = "pg_start_backup('x', true, false)", "pg_stop_backup(false, false)"
	}
	positions := regexp.MustCompile(`(?m)^[0-9A-F]+/[0-9A-F]+$`).FindAllString(query(`SELECT `+began+`;
		CREATE TABLE t AS SELECT i, repeat('x', i % 3000) s FROM generate_series(1, 5000) i; CREATE INDEX ON t (i);
		SELECT length(pg_logical_emit_message(false, 'long', repeat('y', 2500000))::text) < 0;
		SELECT length(pg_switch_wal()::text) < 0;
		SELECT lsn FROM `+stopped), -1)
	start, stop := lsn(t, positions[0]), lsn(t, positions[1])
	query("INSERT INTO t SELECT 1, 'y'")
	given := lsn(t, query("SELECT pg_current_wal_insert_lsn()"))
	query("SELECT pg_logical_emit_message(true, 'cut off', repeat('z', 2500000))")
	must(t, c.Stop(ctx, postgres.Immediate))
	for _, name := range segmentsBehind(t, c.Dir, given) {
		must(t, os.Remove(filepath.Join(c.Dir, "pg_wal", name)))
	}
	must(t, c.Start(ctx))
	query("INSERT INTO t SELECT 2, 'z'")
	end := lsn(t, query("SELECT pg_current_wal_flush_lsn()"))
	control, err := c.ControlData(ctx)
	must(t, err)
	must(t, c.Stop(ctx, postgres.Fast))
	id, err := strconv.ParseUint(control["Database system identifier"], 10, 64)
	must(t, err)

	want, dump := waldump(t, p, c.Dir, start, end)
	if overwrites := regexp.MustCompile("OVERWRITE_CONTRECORD"); len(want) < 5000 || !overwrites.MatchString(dump) {
		t.Fatalf("pg_waldump finds %d records, and none that was given up?", len(want))
	}
	source := Source{SystemID: id, SegmentSize: testSegment, Major: p.Major, Timeline: func(protocol.LSN) protocol.Timeline { return 1 }}
	var got []seen
	newRun := func(begin protocol.LSN) *Run {
		r := NewRun(source, begin, start)
		r.visit = func(record Record) {
			if record.Start < end {
				got = append(got, seen{record.Start, record.Previous, int(record.Length)})
			}
		}
		return r
	}
	one := newRun(start - start%testSegment)
	joined := newRun(start - start%testSegment)
	for segment := start - start%testSegment; segment < end; segment += testSegment {
		content, err := os.ReadFile(filepath.Join(c.Dir, "pg_wal", protocol.WALFileName(1, segment, testSegment)))
		must(t, err)
		one.Write(content)
	}
	if one.End() < end {
		t.Fatalf("the records end at %v, not at %v: %v", one.End(), end, one.Err())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("records (-pg_waldump +here):\n%.2000s", diff)
	}
	if c := one.Checkpoint; c.Start <= start || c.IsShutdown() || one.BackupEnd.End != stop {
		t.Errorf("the checkpoint is %+v, the end %+v, not at %v", c, one.BackupEnd, stop)
	}
	got = nil
	for segment := start - start%testSegment; segment < end; segment += testSegment {
		content, err := os.ReadFile(filepath.Join(c.Dir, "pg_wal", protocol.WALFileName(1, segment, testSegment)))
		must(t, err)
		next := joined
		if segment > start {
			next = newRun(segment)
		}
		for len(content) > 0 { // in pieces that fit nothing
			n := min(len(content), 4097)
			next.Write(content[:n])
			content = content[n:]
		}
		if next != joined {
			joined.Join(next)
		}
	}
	slices.SortFunc(got, func(a, b seen) int { return int(int64(a.Start) - int64(b.Start)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records of joined runs (-pg_waldump +here):\n%.2000s", diff)
	}
	if joined.End() != one.End() || joined.Checkpoint != one.Checkpoint || joined.BackupEnd != one.BackupEnd {
		t.Errorf("the joined runs end at %v (%v), the one at %v (%v)", joined.End(), joined.Err(), one.End(), one.Err())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lsn(t testing.TB, s string) protocol.LSN {
	t.Helper()
	l, err := protocol.ParseLSN(s)
	must(t, err)
	return l
}

// segmentsBehind are those behind the one that holds a position.
func segmentsBehind(t *testing.T, dir string, at protocol.LSN) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "pg_wal"))
	must(t, err)
	var names []string
	for _, e := range entries {
		if _, begin, ok := protocol.ParseWALFileName(e.Name(), testSegment); ok && begin > at {
			names = append(names, e.Name())
		}
	}
	return names
}

var waldumpLine = regexp.MustCompile(`len \(rec/tot\): +\d+/ *(\d+), .* lsn: ([0-9A-F/]+), prev ([0-9A-F/]+),`)

func waldump(t *testing.T, p postgres.Programs, dir string, start, end protocol.LSN) ([]seen, string) {
	t.Helper()
	out, err := p.Run(t.Context(), "pg_waldump", "-p", filepath.Join(dir, "pg_wal"), "-s", start.String(), "-e", end.String())
	must(t, err)
	var records []seen
	for _, m := range waldumpLine.FindAllStringSubmatch(out, -1) {
		var r seen
		fmt.Sscan(m[1], &r.Length)
		r.Start, r.Previous = lsn(t, m[2]), lsn(t, m[3])
		records = append(records, r)
	}
	return records, out
}
