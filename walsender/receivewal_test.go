package walsender_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The tests of this file need PostgreSQL's programs: pg_receivewal and standbys stream from
// stopped clusters, and walsenders are what the order of messages is held against.

func TestReceiveWAL_9_2(t *testing.T) { testReceiveWAL(t, withReceiver(t, postgres.Require(t))) }

// TestMajors_ReceiveWAL_Long is TestReceiveWAL_9_2 for all versions.
func TestMajors_ReceiveWAL_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range postgres.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) { testReceiveWAL(t, withReceiver(t, postgres.RequireMajor(t, major))) })
	}
}

// receiver is the programs of a cluster, and those that receive from it: of the next major
// where its own are not there.
type receiver struct{ server, client postgres.Programs }

func withReceiver(t *testing.T, p postgres.Programs) receiver {
	for major := p.Major; major < p.Major+2; major++ {
		if client := postgres.RequireMajor(t, major); client.Has("pg_receivewal") {
			return receiver{p, client}
		}
	}
	t.Skip("no pg_receivewal")
	return receiver{}
}

// testReceiveWAL stops a cluster in several ways, along three timelines, and has
// pg_receivewal take the WAL: it has every byte that is there, and not one of what is behind.
func testReceiveWAL(t *testing.T, r receiver) {
	ctx, p := t.Context(), r.server
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{
		"min_wal_size": "16MB", "max_wal_size": "64MB", "wal_keep_size": "64MB", "autovacuum": "off"}})
	must(t, c.Start(ctx))
	query(t, c, "select pg_create_physical_replication_slot('keep', true); select pg_create_physical_replication_slot('empty')")
	query(t, c, "create table t as select generate_series(1, 30000)")
	query(t, c, "checkpoint; insert into t select generate_series(1, 30000); checkpoint")
	must(t, c.Stop(ctx, postgres.Fast))
	addr, socket := serveCluster(t, c)
	checkReceived(t, c, receive(t, r, c, socket, endOfWAL(t, addr), "--slot=keep"), 1)

	// PostgreSQL has written the slot.
	raw := connect(t, addr, "postgres")
	if p.Major >= 15 {
		if got := raw.query("READ_REPLICATION_SLOT empty"); got[1] != `DataRow ("physical", NULL, NULL)` {
			t.Errorf("slot: %q", got)
		}
		if got := raw.query("READ_REPLICATION_SLOT keep"); !strings.HasPrefix(got[1], `DataRow ("physical", "0/`) || !strings.HasSuffix(got[1], `, "1")`) {
			t.Errorf("slot: %q", got)
		}
	}
	if out, err := r.client.Run(ctx, "pg_receivewal", "-h", socket, "-p", "5432", "-U", "postgres", "-D", p.TempDir(t), "--create-slot", "--slot=new"); err == nil || !strings.Contains(err.Error(), "cannot create a permanent replication slot") {
		t.Errorf("--create-slot: %s, %v", out, err)
	}

	// Two more timelines.
	for range 2 {
		must(t, os.WriteFile(filepath.Join(c.Dir, "standby.signal"), nil, 0o600))
		must(t, p.Own(filepath.Join(c.Dir, "standby.signal")))
		must(t, c.Start(ctx))
		must(t, c.Promote(ctx))
		query(t, c, "insert into t select generate_series(1, 20000)")
		must(t, c.Stop(ctx, postgres.Fast))
	}
	dir := receive(t, r, c, socket, endOfWAL(t, addr), "--slot=keep")
	checkReceived(t, c, dir, 3)
}

// serveCluster serves a stopped cluster at a socket in the directory that is returned, too.
func serveCluster(t *testing.T, c *postgres.Cluster) (addr net.Addr, socket string) {
	t.Helper()
	p := c.Programs
	stopped, err := datadir.Open(c.Dir, datadir.Options{})
	must(t, err)
	t.Cleanup(func() { _ = stopped.Close() })
	socket, err = p.MkdirTemp("", "pgw")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(socket) })
	l, err := net.Listen("unix", filepath.Join(socket, ".s.PGSQL.5432"))
	must(t, err)
	must(t, os.Chmod(l.Addr().String(), 0o777))
	server := &walsender.Server{Cluster: stopped, Logger: zap.NewNop()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr(), socket
}

func query(t *testing.T, c *postgres.Cluster, statements string) {
	t.Helper()
	_, err := c.SQL(t.Context(), "postgres", statements)
	must(t, err)
}

// endOfWAL is the end that IDENTIFY_SYSTEM tells.
func endOfWAL(t *testing.T, addr net.Addr) protocol.LSN {
	t.Helper()
	end, err := protocol.ParseLSN(value(t, connect(t, addr, "postgres").query("IDENTIFY_SYSTEM"), 2))
	must(t, err)
	return end
}

// receive has pg_receivewal receive all WAL up to end. It begins with the oldest segment.
func receive(t *testing.T, r receiver, c *postgres.Cluster, socket string, end protocol.LSN, options ...string) (dir string) {
	t.Helper()
	dir = r.client.TempDir(t)
	// It goes on behind the segments that it finds.
	oldest := segmentsOf(t, c)[0]
	_, start, _ := protocol.ParseWALFileName(oldest, 1<<20)
	before := filepath.Join(dir, protocol.WALFileName(1, start-1, 1<<20))
	must(t, os.WriteFile(before, make([]byte, 1<<20), 0o600))
	must(t, r.client.Own(before))
	args := append([]string{"-h", socket, "-p", "5432", "-U", "postgres", "-D", dir, "-n", "-E", (end - 1).String(), "--no-sync"}, options...)
	out, err := r.client.Run(t.Context(), "pg_receivewal", args...)
	if err != nil {
		t.Fatalf("pg_receivewal: %v\n%s", err, out)
	}
	return dir
}

// segmentsOf are the files of a cluster's pg_wal that begin as segments do, sorted.
func segmentsOf(t *testing.T, c *postgres.Cluster) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.Dir, "pg_wal", "0*"))
	must(t, err)
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// checkReceived compares the segments that were received with those of the cluster.
func checkReceived(t *testing.T, c *postgres.Cluster, dir string, timelines int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "0*"))
	must(t, err)
	histories, segments := 0, 0
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".partial")
		if name < segmentsOf(t, c)[0] {
			continue
		}
		got, err := os.ReadFile(path)
		must(t, err)
		want, err := os.ReadFile(filepath.Join(c.Dir, "pg_wal", name))
		must(t, err)
		if strings.HasSuffix(name, ".history") {
			histories++
		} else {
			segments++
		}
		if strings.HasSuffix(path, ".partial") { // up to a position, zeros behind
			length := len(bytes.TrimRight(got, "\x00"))
			got, want = got[:length], want[:length]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the cluster's", filepath.Base(path))
		}
	}
	if histories != timelines-1 || segments < 2 {
		t.Errorf("received %d segments and %d histories: %v", segments, histories, names)
	}
}
