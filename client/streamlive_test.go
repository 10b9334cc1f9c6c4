package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// beside serves a running cluster until the test ends.
func beside(t *testing.T, c *postgres.Cluster) *pgconn.Config {
	t.Helper()
	live, err := livecluster.Open(t.Context(), c.Dir, livecluster.Config{
		ConnString: c.ConnString("postgres"), PassThroughSuperuser: "postgres",
	})
	must(t, err)
	t.Cleanup(func() { must(t, live.Close()) })
	return listen(t, &walsender.Server{Cluster: live})
}

func answer(t *testing.T, c *postgres.Cluster, sql string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), "postgres", sql)
	must(t, err)
	return out
}

// A running cluster is streamed from by default. The backup passes PostgreSQL's
// examination, its WAL included, and PostgreSQL starts from it; the slots are as asked.
func TestStreamLive(t *testing.T) { streamLive(t, "permanent slot", "tar") }

func TestStreamLive_Long(t *testing.T) {
	longtest.Mark(t)
	streamLive(t, "default", "no slot", "waldir")
}

func streamLive(t *testing.T, selected ...string) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{Checksums: true, WALSegmentSizeMB: 1, Settings: map[string]string{"max_wal_size": "32MB"}})
	must(t, source.Start(ctx))
	must(t, source.Pgbench(ctx, "postgres", "-i", "-q", "-s", "1"))
	config := beside(t, source)
	for name, change := range map[string]func(*client.Options){
		"default":        func(*client.Options) {},
		"no slot":        func(o *client.Options) { o.WAL.NoSlot, o.WAL.Method = true, client.WALStream },
		"permanent slot": func(o *client.Options) { o.WAL.Slot, o.WAL.CreateSlot = "mine", true },
		"waldir":         func(o *client.Options) { o.WAL.Dir = filepath.Join(p.TempDir(t), "wal") },
		"tar":            func(o *client.Options) { o.Archive = &client.ArchiveOptions{} },
	} {
		if !slices.Contains(selected, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			o := client.Options{ConnConfig: config, Dir: filepath.Join(p.TempDir(t), "copy"), Jobs: 3, FastCheckpoint: true}
			change(&o)
			var said []string
			o.Log = func(e client.Event) { said = append(said, e.Message) }
			query(t, source, "CREATE TABLE IF NOT EXISTS t (i int); INSERT INTO t SELECT generate_series(1, 50000)")
			result, err := client.Backup(ctx, o)
			must(t, err)
			if !strings.Contains(strings.Join(said, "\n"), "starting to receive write-ahead log") || result.WALFiles == 0 {
				t.Errorf("nothing was streamed: %q", said)
			}
			must(t, p.Own(o.Dir))
			if o.WAL.Dir != "" {
				must(t, p.Own(o.WAL.Dir))
			}
			if o.Archive != nil {
				o.Dir = unpackStreamed(t, p, o.Dir)
			}
			_, err = p.Run(ctx, "pg_verifybackup", o.Dir)
			must(t, err)
			want, err := source.Fingerprint(ctx)
			must(t, err)
			restored := p.OpenCluster(t, o.Dir)
			must(t, restored.Start(ctx))
			got, err := restored.Fingerprint(ctx)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("content (-source +copy):\n%s", diff)
			}
			if name == "permanent slot" {
				o.Dir, o.WAL.CreateSlot = filepath.Join(p.TempDir(t), "again"), false
				_, err := client.Backup(ctx, o)
				must(t, err)
			}
		})
	}
	want := ""
	if slices.Contains(selected, "permanent slot") {
		want = "mine"
	}
	if got := answer(t, source, "SELECT slot_name FROM pg_replication_slots"); got != want {
		t.Errorf("slots are %q, want those that were to stay: %q", got, want)
	}
}

// unpackStreamed unpacks a backup in tar format whose WAL was streamed.
func unpackStreamed(t *testing.T, p postgres.Programs, dir string) string {
	t.Helper()
	data := filepath.Join(p.TempDir(t), "data")
	for _, command := range [][]string{
		{"/bin/mkdir", "-m", "700", data},
		{"/bin/tar", "-xpf", filepath.Join(dir, "base.tar"), "-C", data},
		{"/bin/tar", "-xpf", filepath.Join(dir, "pg_wal.tar"), "-C", filepath.Join(data, "pg_wal")},
		{"/bin/cp", filepath.Join(dir, "backup_manifest"), data},
	} {
		_, err := p.Run(t.Context(), command[0], command[1:]...)
		must(t, err)
	}
	return data
}

// The thread's case d, with a slot that does not exist; and one that is dropped again.
func TestStreamLive_Fails(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	source := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, source.Start(ctx))
	config := beside(t, source)
	dir, isThere := copyOf(t)
	_, err := client.Backup(ctx, client.Options{ConnConfig: config, Dir: dir, WAL: client.WALOptions{Slot: "nonexistent"}})
	if err == nil || !strings.Contains(err.Error(), `replication slot "nonexistent" does not exist`) || isThere() {
		t.Errorf("error is %v", err)
	}
	// The directory is taken when the slot is there already.
	must(t, os.MkdirAll(filepath.Dir(dir), 0o700))
	_, err = client.Backup(ctx, client.Options{
		ConnConfig: config, Dir: dir, WAL: client.WALOptions{Slot: "mine", CreateSlot: true}, FastCheckpoint: true, Label: strings.Repeat("x", 2000),
	})
	if err == nil || isThere() {
		t.Errorf("error is %v", err)
	}
	if got := answer(t, source, "SELECT count(*) FROM pg_replication_slots"); got != "0" {
		t.Errorf("%s slots are left", got)
	}
	if errors.Is(err, client.ErrUnfinished) {
		t.Error("it failed for another reason")
	}
}
