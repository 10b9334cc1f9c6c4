package walsender_test

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// benchCluster is a sample whose one large relation is in the page cache, and many
// small ones.
func benchCluster(b *testing.B, s walsendertest.Sample) *datadir.Stopped {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "data")
	s.WALSegmentSize = 1 << 20
	if err := s.Write(dir); err != nil {
		b.Fatal(err)
	}
	cluster, err := datadir.Open(dir, datadir.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cluster.Close() })
	return cluster
}

// benchSessions is a backup with n joined sessions, over a unix socket.
func benchSessions(b *testing.B, cluster walsender.Cluster, start string, n int) []*rawClient {
	b.Helper()
	l, err := walsender.ListenUnix(socketDir(b), 5433)
	if err != nil {
		b.Fatal(err)
	}
	server := &walsender.Server{Cluster: cluster, MaxWALSenders: n + 1}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	b.Cleanup(func() { server.Close(); <-done })
	id := value(b, benchConnect(b, l.Addr()).query(start), 3)
	sessions := make([]*rawClient, n)
	for i := range sessions {
		sessions[i] = benchConnect(b, l.Addr())
		sessions[i].query("JOIN_BACKUP '" + id + "'")
	}
	return sessions
}

func benchConnect(b *testing.B, addr net.Addr) *rawClient {
	c := connect(b, addr, "backup")
	c.Conn.SetDeadline(time.Now().Add(time.Hour))
	return c
}

// receive reads the answer to one SEND_FILE and returns its payload's length.
func (c *rawClient) receive() (bytes int64, err error) {
	for {
		kind, body, err := c.Next()
		switch {
		case err != nil:
			return bytes, err
		case kind == 'd':
			bytes += int64(len(body))
		case kind == 'E':
			return bytes, fmt.Errorf("refused: %q", body)
		case kind == 'Z':
			return bytes, nil
		}
	}
}

// BenchmarkSendFile sends a relation of 256 MiB from the page cache, with and
// without the verification of its pages, to one session and to four at once.
func BenchmarkSendFile(b *testing.B) {
	cluster := benchCluster(b, walsendertest.Sample{Databases: 1, Relations: 1, RelationPages: 32 << 10})
	for _, sessions := range []int{1, 4} {
		for name, option := range map[string]string{"verified": "", "unverified": " NOVERIFY_CHECKSUMS"} {
			b.Run(fmt.Sprintf("%s/sessions=%d", name, sessions), func(b *testing.B) {
				clients := benchSessions(b, cluster, "START_BACKUP", sessions)
				b.SetBytes(256 << 20 * int64(sessions))
				for b.Loop() {
					var group errgroup.Group
					for _, c := range clients {
						group.Go(func() error {
							c.Send("SEND_FILE ('base/1/20000')" + option)
							n, err := c.receive()
							if err == nil && n != 256<<20 {
								err = io.ErrUnexpectedEOF
							}
							return err
						})
					}
					if err := group.Wait(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSendFile_Small asks for files of one page, one by one and pipelined.
func BenchmarkSendFile_Small(b *testing.B) {
	cluster := benchCluster(b, walsendertest.Sample{Databases: 1, Relations: 1, RelationPages: 1})
	for _, depth := range []int{1, 64} {
		b.Run(fmt.Sprintf("pipelined=%d", depth), func(b *testing.B) {
			c := benchSessions(b, cluster, "START_BACKUP", 1)[0]
			queries := make([]string, depth)
			for i := range queries {
				queries[i] = "SEND_FILE ('base/1/20000')"
			}
			for i := 0; i < b.N; i += depth {
				c.Send(queries...)
				for range depth {
					if _, err := c.receive(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkMaxRate measures MAX_RATE (§4.6): what one session, and eight together,
// get in ten seconds at 10 MB/s. Run it with -benchtime=1x.
func BenchmarkMaxRate(b *testing.B) {
	const rate, seconds = 10 << 10, 10 // kB/s
	cluster := benchCluster(b, walsendertest.Sample{Databases: 1, Relations: 1, RelationPages: 32 << 10})
	for _, sessions := range []int{1, 8} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			clients := benchSessions(b, cluster, fmt.Sprintf("START_BACKUP MAX_RATE %d", rate), sessions)
			for b.Loop() {
				bytes, elapsed := measureRate(b, clients, seconds*time.Second)
				got := float64(bytes) / elapsed.Seconds() / 1024
				b.ReportMetric(got/1024, "MB/s")
				b.ReportMetric(100*got/rate, "%-of-limit")
			}
		})
	}
}

// measureRate has all clients receive a file each for the time, and counts.
func measureRate(b *testing.B, clients []*rawClient, span time.Duration) (bytes int64, elapsed time.Duration) {
	b.Helper()
	start := time.Now()
	counts := make([]int64, len(clients))
	var group errgroup.Group
	for i, c := range clients {
		c.Send("SEND_FILE ('base/1/20000')")
		group.Go(func() error {
			for time.Since(start) < span {
				kind, body, err := c.Next()
				if err != nil {
					return err
				}
				if kind == 'd' {
					counts[i] += int64(len(body))
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	elapsed = time.Since(start)
	for _, n := range counts {
		bytes += n
	}
	return bytes, elapsed
}
