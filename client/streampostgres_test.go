package client

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The stream of PostgreSQL's own walsender, over the end of a timeline, is what lies in
// its pg_wal; the slot goes along, and is gone with the connection.
func TestStream_PostgreSQL(t *testing.T) {
	t.Parallel()
	ctx, p := t.Context(), postgres.Require(t)
	primary := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "1GB"}})
	must(t, primary.Start(ctx))
	standby := primary.NewStandby(t)
	must(t, standby.Start(ctx))
	start := ask(t, primary, "CHECKPOINT; SELECT redo_lsn FROM pg_control_checkpoint()")
	ask(t, primary, "CREATE TABLE t AS SELECT generate_series(1, 30000) i")
	must(t, primary.Stop(ctx, postgres.Fast)) // it waits until the standby has all of it
	must(t, standby.Promote(ctx))
	ask(t, standby, "CREATE TABLE u AS SELECT generate_series(1, 30000) i; CHECKPOINT")
	stop := ask(t, standby, "SELECT pg_current_wal_flush_lsn()")

	config, err := pgconn.ParseConfig(standby.ConnString("postgres"))
	must(t, err)
	d, err := wire.NewDialer(wire.Config{ConnConfig: config, Notice: func(*protocol.Error) {}})
	must(t, err)
	c, err := d.First(ctx)
	must(t, err)
	dir := filepath.Join(t.TempDir(), "copy")
	out, err := newOutput(Options{Dir: dir}, outputtest.Log(t))
	must(t, err)
	_, err = out.Locate(nil)
	must(t, err)
	must(t, out.Claim(ctx, output.Cluster{DirectoryMode: 0o700}, 1))
	defer out.Undo()
	b := &backup{Options: Options{WAL: WALOptions{Method: WALStream}}, dialer: d, leader: c, out: out}
	b.cluster.segmentSize, b.cluster.versionNum = 1<<20, p.Major*10000
	b.cluster.system, err = wire.Row(c, "IDENTIFY_SYSTEM", protocol.DecodeSystem)
	must(t, err)
	b.events.log = func(Event) {}
	startLSN, err := protocol.ParseLSN(start)
	must(t, err)
	stopLSN, err := protocol.ParseLSN(stop)
	must(t, err)
	b.started = protocol.BackupStart{StartPoint: protocol.StartPoint{StartPtr: startLSN, Timeline: 1}}
	b.fail = func(error) {}
	c.Parameters[protocol.ParameterWAL] = string(protocol.WALStreamed)
	must(t, b.chooseWAL(ctx))
	must(t, b.openStream(ctx))
	must(t, b.startStream(ctx))
	if got := ask(t, standby, "SELECT slot_name = 'pgparallel_' || active_pid FROM pg_replication_slots"); got != "t" {
		t.Errorf("the slot is not named after its session: %q", got)
	}
	wal, err := b.stream.WaitFor(ctx, stopLSN, time.Minute)
	must(t, err)
	b.stream.Close()
	c.Close()
	if r := wal.Records; r.End() < stopLSN || r.Err() != nil || r.Checkpoint.Start <= startLSN {
		t.Errorf("the records end at %v, not at %v: %v; the checkpoint is %+v", r.End(), stopLSN, r.Err(), r.Checkpoint)
	}

	segments := 0
	for i := range int32(wal.Files.Len()) {
		name := strings.TrimPrefix(wal.Files.At(i).Path, "pg_wal/")
		got := read(t, dir, "pg_wal/"+name)
		want, err := os.ReadFile(filepath.Join(standby.Dir, "pg_wal", name))
		if os.IsNotExist(err) { // the last of a timeline is renamed on promotion
			want, err = os.ReadFile(filepath.Join(standby.Dir, "pg_wal", name+".partial"))
		}
		must(t, err)
		trimmed := bytes.TrimRight([]byte(got), "\x00")
		if !bytes.HasPrefix(want, trimmed) || len(got) != len(want) {
			t.Errorf("%s differs", name)
		}
		segments++
	}
	if segments < 5 || read(t, dir, "pg_wal/00000002.history") == "" {
		t.Errorf("%d segments", segments)
	}
	waitFor(t, func() bool { return ask(t, standby, "SELECT count(*) FROM pg_replication_slots") == "0" })
}

func ask(t *testing.T, c *postgres.Cluster, sql string) string {
	t.Helper()
	out, err := c.SQL(t.Context(), "postgres", sql)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// waitFor waits until the server has noticed something.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !condition() {
		if ctx.Err() != nil {
			t.Fatal("waited in vain")
		}
	}
}
