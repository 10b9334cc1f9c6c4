package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// replicating starts a server in memory whose cluster is on timeline 2, and connects to it.
func replicating(t *testing.T, fault walsendertest.Fault) *pgconn.PgConn {
	t.Helper()
	server := &walsendertest.Server{
		Cluster:  &walsendertest.Cluster{Sample: walsendertest.Sample{Timeline: 2}},
		InMemory: true, Faults: []walsendertest.Fault{fault},
	}
	server.StartTest(t)
	config, err := server.ConnConfig()
	must(t, err)
	config.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test may have broken it
	return conn
}

// TestReceive_TimelineSwitch receives a segment, at whose end the server is promoted.
func TestReceive_TimelineSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wal bytes.Buffer
		next, err := receiveWAL(t.Context(), replicating(t, walsendertest.TimelineSwitch()), &wal, 0x100000, 1, time.Minute)
		must(t, err)
		if wal.Len() != 1<<20 || next == nil || next.Timeline != 2 || next.LSN != 0x200000 {
			t.Errorf("%d bytes, then %+v", wal.Len(), next)
		}
	})
}

// TestReceive_Silence waits a minute for a server that says no more, in no time.
func TestReceive_Silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wal bytes.Buffer
		_, err := receiveWAL(t.Context(), replicating(t, walsendertest.KeepaliveSilence()), &wal, 0x200000, 2, 30*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || wal.Len() != 0xA0 {
			t.Errorf("error %v after %d bytes", err, wal.Len())
		}
	})
}
