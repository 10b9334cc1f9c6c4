package client_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// linkRate is how many bytes a simulated connection carries in a second.
const linkRate = 256 << 10

// link carries what a writer sends to a reader, at linkRate, and delays it.
func link(from, to net.Conn, delay time.Duration, ends *sync.WaitGroup) {
	type piece struct {
		data []byte
		due  time.Time
	}
	wire := make(chan piece, 1<<16)
	ends.Go(func() { // ends with from
		defer close(wire)
		var free time.Time // when the wire has carried all that was sent
		for {
			buffer := make([]byte, 16<<10)
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if now := time.Now(); free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(n) * time.Second / linkRate)
			wire <- piece{buffer[:n], free.Add(delay)}
		}
	})
	ends.Go(func() { // ends when the other has
		defer to.Close()
		for p := range wire {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_, _ = io.Copy(io.Discard, from) // until its end
			}
		}
	})
}

// simulate takes a backup over connections with the round trip, and returns how long it
// takes by the simulated clock: the disk and the processor cost nothing there.
func simulate(t *testing.T, cluster *walsendertest.Cluster, jobs int, roundTrip time.Duration) (took time.Duration) {
	dir := filepath.Join(t.TempDir(), "copy")
	synctest.Test(t, func(t *testing.T) {
		server := &walsender.Server{Cluster: cluster}
		var sessions sync.WaitGroup
		config, err := pgconn.ParseConfig("host=simulated user=u sslmode=disable")
		must(t, err)
		config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
		config.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			client, near := net.Pipe()
			far, served := net.Pipe()
			link(near, far, roundTrip/2, &sessions)
			link(far, near, roundTrip/2, &sessions)
			sessions.Go(func() {
				_ = server.ServeConn(context.Background(), served) // the client says what is wrong
			})
			return client, nil
		}
		began := time.Now()
		_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: jobs, NoSync: true})
		took = time.Since(began)
		must(t, err)
		server.Close()
		sessions.Wait()
	})
	return took
}

// A round trip of 20 ms costs less than 10 % of what a backup of many small files takes
// without it.
func TestRoundTrip(t *testing.T) { roundTripCosts(t, 4) }

func TestRoundTrip_Long(t *testing.T) {
	longtest.Mark(t)
	roundTripCosts(t, 1)
}

func roundTripCosts(t *testing.T, jobs int) {
	t.Helper()
	cluster := &walsendertest.Cluster{Sample: walsendertest.Sample{SmallFiles: 2000}}
	near, far := simulate(t, cluster, jobs, 0), simulate(t, cluster, jobs, 20*time.Millisecond)
	cost := float64(far-near) / float64(near)
	t.Logf("%d jobs: %v without a round trip, %v with one: %.1f %%", jobs, near, far, cost*100)
	if cost >= 0.10 {
		t.Errorf("%d jobs: a round trip of 20 ms costs %.1f %%", jobs, cost*100)
	}
}
