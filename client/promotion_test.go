package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The upstream of a cascading standby is promoted while the standby is backed up, which
// follows it to the new timeline (B40). The backup ends there if the standby has had a
// restartpoint since, else on the old one; PostgreSQL starts from it in any case.
func TestStreamLive_UpstreamPromotion(t *testing.T) {
	for _, test := range []promotion{{client.WALStream, true}, {client.WALStream, false}, {client.WALFetch, true}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel() // the servers wait for each other
			test.check(t)
		})
	}
}

type promotion struct {
	method       client.WALMethod
	restartpoint bool
}

func (test promotion) check(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB", "wal_retrieve_retry_interval": "200ms"}})
	must(t, primary.Start(ctx))
	upstream := primary.NewStandby(t)
	must(t, upstream.Start(ctx))
	cascading := upstream.NewStandby(t)
	must(t, cascading.Start(ctx))
	query(t, primary, "CREATE TABLE t AS SELECT generate_series(1, 1000) i; CHECKPOINT")
	catchUp := func(rows string) {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			out, err := cascading.SQL(ctx, "postgres", "SELECT count(*) FROM t")
			if err == nil && strings.TrimSpace(out) == rows {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the standby has %q rows, %v", out, err)
			}
		}
	}
	catchUp("1000")
	o := client.Options{ConnConfig: beside(t, cascading), Dir: filepath.Join(p.TempDir(t), "copy"), FastCheckpoint: true, WAL: client.WALOptions{Method: test.method}}
	promoted := false
	o.Log = func(e client.Event) {
		if !promoted && strings.HasPrefix(e.Message, "write-ahead log start point") {
			promoted = true
			must(t, primary.Stop(ctx, postgres.Fast))
			must(t, upstream.Promote(ctx))
			query(t, upstream, "INSERT INTO t SELECT generate_series(1, 50000); CHECKPOINT")
			catchUp("51000")
			if test.restartpoint {
				query(t, cascading, "CHECKPOINT")
			}
		}
	}
	result, err := client.Backup(ctx, o)
	must(t, err)
	want, rows := protocol.Timeline(1), "1000"
	if test.restartpoint {
		want, rows = 2, "51000"
	}
	if result.Timeline != 1 || result.StopTimeline != want {
		t.Errorf("the backup is of timelines %d to %d", result.Timeline, result.StopTimeline)
	}
	must(t, p.Own(o.Dir))
	_, err = p.Run(ctx, "pg_verifybackup", o.Dir)
	must(t, err)
	must(t, os.Remove(filepath.Join(o.Dir, "standby.signal")))
	restored := p.OpenCluster(t, o.Dir)
	must(t, restored.Start(ctx))
	if got := strings.TrimSpace(answer(t, restored, "SELECT count(*) FROM t")); got != rows {
		t.Errorf("the copy has %s rows", got)
	}
}
