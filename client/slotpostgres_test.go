package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/livecluster"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// What a slot of the user's, or of the backup's own, does to the cluster: it protects WAL
// from the first status on; a limit counts from the checkpoint on; nothing waits for it.
func TestStreamLive_Slots(t *testing.T) {
	slotsProtect(t, "temporary", client.WALOptions{})
}

func TestStreamLive_Slots_Long(t *testing.T) {
	longtest.Mark(t)
	slotsProtect(t, "new", client.WALOptions{Slot: "new", CreateSlot: true})
}

func slotsProtect(t *testing.T, name string, wal client.WALOptions) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{
		"max_slot_wal_keep_size": "4MB", "min_wal_size": "2MB", "max_wal_size": "2MB", "log_min_messages": "log",
	}})
	must(t, c.Start(ctx))
	config := beside(t, c)
	write := func() { // 8 MB that no slot may keep
		for range 8 {
			query(t, c, "SELECT pg_switch_wal(), pg_logical_emit_message(false, '', repeat('x', 100000)); CHECKPOINT")
		}
	}
	backup := func(t *testing.T, o client.Options) {
		o.ConnConfig, o.Dir, o.FastCheckpoint = config, filepath.Join(p.TempDir(t), "copy"), true
		_, err := client.Backup(ctx, o)
		must(t, err)
	}
	t.Run("one without a position", func(t *testing.T) {
		query(t, c, "SELECT pg_create_physical_replication_slot('mine')")
		backup(t, client.Options{WAL: client.WALOptions{Slot: "mine"}})
		if got := answer(t, c, "SELECT restart_lsn IS NOT NULL FROM pg_replication_slots"); got != "t" {
			t.Errorf("the slot protects WAL: %s", got)
		}
		query(t, c, "SELECT pg_drop_replication_slot('mine')")
	})
	t.Run(name+", waiting for its checkpoint", func(t *testing.T) {
		backup(t, client.Options{WAL: wal, Log: func(e client.Event) {
			if strings.Contains(e.Message, "waiting for checkpoint") {
				write()
			}
		}})
	})
}

// The stream is no synchronous standby where anything that streams is one, whatever it has
// reported (B28): commits wait for the standby alone.
func TestStreamLive_IsNoSynchronousStandby(t *testing.T) {
	isNoSynchronousStandby(t, "given slot", client.WALOptions{Slot: "mine"})
}

func TestStreamLive_IsNoSynchronousStandby_Long(t *testing.T) {
	longtest.Mark(t)
	isNoSynchronousStandby(t, "temporary slot", client.WALOptions{})
}

func isNoSynchronousStandby(t *testing.T, name string, wal client.WALOptions) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB"}})
	must(t, c.Start(ctx))
	query(t, c, "CREATE TABLE t (i int); SELECT pg_create_physical_replication_slot('mine')")
	standby := c.NewStandby(t)
	must(t, standby.Start(ctx))
	query(t, c, "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()")
	config := beside(t, c)
	t.Run(name, func(t *testing.T) {
		o := client.Options{WAL: wal}
		o.ConnConfig, o.Dir, o.FastCheckpoint = config, filepath.Join(p.TempDir(t), "copy"), true
		o.WAL.StatusInterval, o.MaxRate = 50*time.Millisecond, 8<<10
		done := make(chan error, 1)
		go func() {
			_, err := client.Backup(ctx, o)
			done <- err
		}()
		seen := false
		for {
			select {
			case err := <-done:
				must(t, err)
				if !seen {
					t.Error("the stream was never seen")
				}
				return
			default:
			}
			limited, cancel := context.WithTimeout(ctx, 20*time.Second)
			state, err := c.SQL(limited, "postgres", "INSERT INTO t VALUES (1); SELECT pg_switch_wal(); SELECT coalesce(string_agg(DISTINCT sync_state, ','), 'none') FROM pg_stat_replication WHERE application_name = 'pgparallel'")
			cancel()
			must(t, err)
			lines := strings.Split(strings.TrimSpace(state), "\n")
			if state = lines[len(lines)-1]; state != "async" && state != "none" {
				t.Errorf("the stream is %s", state)
			}
			seen = seen || state == "async"
		}
	})
}

// Where nothing is passed through, PostgreSQL keeps the WAL as long as it likes. A slow
// backup ends soon after the first segment is gone (B19).
func TestStreamLive_NothingKeepsTheWAL(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"min_wal_size": "2MB", "max_wal_size": "2MB"}})
	must(t, c.Start(ctx))
	query(t, c, "CREATE ROLE backup LOGIN; GRANT EXECUTE ON FUNCTION "+p.BackupFunctions()+" TO backup")
	live, err := livecluster.Open(ctx, c.Dir, livecluster.Config{ConnString: strings.Replace(c.ConnString("postgres"), "user=postgres", "user=backup", 1)})
	must(t, err)
	t.Cleanup(func() { must(t, live.Close()) })
	o := client.Options{ConnConfig: listen(t, &walsender.Server{Cluster: live}), FastCheckpoint: true, MaxRate: 64} // minutes
	dir, isThere := copyOf(t)
	o.Dir = dir
	o.Log = func(e client.Event) {
		if strings.HasPrefix(e.Message, "write-ahead log start point") {
			for range 8 {
				query(t, c, "SELECT pg_switch_wal(), pg_logical_emit_message(false, '', repeat('x', 100000)); CHECKPOINT")
			}
		}
	}
	began := time.Now()
	_, err = client.Backup(ctx, o)
	if gone, ok := errors.AsType[*protocol.Error](err); !ok || gone.Code != protocol.CodeUndefinedFile || !strings.Contains(gone.Hint, "wal_keep_size") || isThere() {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
