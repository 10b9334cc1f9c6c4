package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A copy that goes on in its last segment archives it (§5.1): of a stopped cluster, and of
// a standby that runs, whose WAL is fetched or streamed. Nothing is archived yet here, so
// pg_wal keeps all that the copy writes.
func TestBackup_5_1_ArchiveHasNoHole(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, c.Start(ctx))
	query(t, c, "CREATE TABLE t (s text)")
	must(t, c.Stop(ctx, postgres.Fast))
	dir := filepath.Join(p.TempDir(t), "copy")
	_, err := client.Backup(ctx, client.Options{ConnConfig: serve(t, c.Dir, &walsender.Server{}), Dir: dir})
	must(t, err)
	must(t, p.Own(dir))
	archivesAll(t, p, dir)
}

// TestBackup_5_1_ArchiveHasNoHole_Long has standbys, too, and a timeline with a history.
func TestBackup_5_1_ArchiveHasNoHole_Long(t *testing.T) {
	longtest.Mark(t)
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB"}})
	must(t, primary.Start(ctx))
	query(t, primary, "CREATE TABLE t (s text)")
	standby := primary.NewStandby(t)
	must(t, standby.Start(ctx))
	must(t, standby.Promote(ctx)) // with a history
	query(t, standby, "SELECT pg_switch_wal(); INSERT INTO t VALUES ('x'); CHECKPOINT")
	cascade := standby.NewStandby(t)
	must(t, cascade.Start(ctx))
	query(t, standby, "INSERT INTO t VALUES ('z'); CHECKPOINT")
	end := answer(t, standby, "SELECT pg_current_wal_flush_lsn()")
	waitUntil(t, func() bool { return answer(t, cascade, "SELECT pg_last_wal_replay_lsn() >= '"+end+"'") == "t" })
	live := beside(t, cascade)
	dirs := map[string]string{}
	backup := func(name string, o client.Options) {
		o.Dir, o.FastCheckpoint = filepath.Join(p.TempDir(t), "copy"), true
		result, err := client.Backup(ctx, o)
		must(t, err)
		if result.StopPtr%(1<<20) == 0 {
			t.Fatalf("%s: the backup ends with a segment, at %v", name, result.StopPtr)
		}
		must(t, p.Own(o.Dir))
		dirs[name] = o.Dir
	}
	backup("standby, streamed", client.Options{ConnConfig: live, WAL: client.WALOptions{Method: client.WALStream}})
	backup("standby, fetched", client.Options{ConnConfig: live, WAL: client.WALOptions{Method: client.WALFetch}})
	must(t, cascade.Stop(ctx, postgres.Fast))
	must(t, standby.Stop(ctx, postgres.Fast))
	backup("stopped", client.Options{ConnConfig: serve(t, standby.Dir, &walsender.Server{})})
	backup("stopped standby", client.Options{ConnConfig: serve(t, cascade.Dir, &walsender.Server{})})
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(dir, "pg_wal/archive_status/00000002.history.done")); err != nil {
				t.Error(err)
			}
			archivesAll(t, p, dir)
		})
	}
}

// archivesAll starts a copy, has it write, and makes sure that it keeps the segment that it
// goes on in until that is archived.
func archivesAll(t *testing.T, p postgres.Programs, dir string) {
	t.Helper()
	ctx := t.Context()
	last := slices.Max(segmentsIn(t, dir))
	for _, status := range namesIn(t, filepath.Join(dir, "pg_wal/archive_status")) {
		if strings.HasPrefix(status, last) {
			t.Errorf("the copy has %s", status)
		}
	}
	must(t, os.RemoveAll(filepath.Join(dir, "standby.signal")))
	c := p.OpenCluster(t, dir)
	must(t, c.Configure(map[string]string{"archive_mode": "on", "archive_command": "/bin/false", "wal_keep_size": "0", "max_wal_size": "2MB", "min_wal_size": "2MB"}))
	must(t, c.Start(ctx))
	for range 3 {
		query(t, c, "INSERT INTO t SELECT repeat('y', 1000) FROM generate_series(1, 2000); CHECKPOINT")
	}
	must(t, c.Stop(ctx, postgres.Fast))
	after := segmentsIn(t, dir)
	if !slices.Contains(after, last) {
		t.Fatalf("%s, which the copy has written into, is gone without having been archived: %q", last, after)
	}
	if diff := cmp.Diff("", gap(after[slices.Index(after, last):])); diff != "" {
		t.Errorf("segments %q: gap %s", after, diff)
	}
}

// segmentsIn are the segments of a data directory, sorted.
func segmentsIn(t *testing.T, dir string) []string {
	t.Helper()
	names := slices.DeleteFunc(namesIn(t, filepath.Join(dir, "pg_wal")), func(name string) bool { return len(name) != 24 })
	slices.Sort(names)
	return names
}

// gap is the first segment that is missing in a row.
func gap(names []string) string {
	for i, name := range names[1:] {
		var before, now int64
		fmt.Sscanf(names[i][16:], "%X", &before)
		fmt.Sscanf(name[16:], "%X", &now)
		if names[i][:16] == name[:16] && now != before+1 {
			return name
		}
	}
	return ""
}

// waitUntil waits for what a server does on its own.
func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
