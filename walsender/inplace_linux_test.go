package walsender_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// inPlaceSize is the size of the file of a placedCluster: two frames.
const inPlaceSize = 256 << 10

// placedCluster is a memCluster whose file base/1/100 lies on disk, full of zeros, and may be
// sent from there. Something happens to the file after each read.
type placedCluster struct {
	*memCluster
	path      string
	afterRead func(path string) error
	clean     bool
}

func newPlacedCluster(t *testing.T, afterRead func(string) error) *placedCluster {
	path := filepath.Join(t.TempDir(), "100")
	must(t, os.WriteFile(path, make([]byte, inPlaceSize), 0o600))
	return &placedCluster{newMemCluster(), path, afterRead, true}
}

func (c *placedCluster) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if name != "base/1/100" {
		return c.memCluster.Open(ctx, name, o)
	}
	f, err := os.Open(c.path)
	return &placedFile{File: f, cluster: c}, err
}

type placedFile struct {
	*os.File
	cluster *placedCluster
	offset  int64
}

func (f *placedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if f.offset += int64(n); err == nil {
		err = f.cluster.afterRead(f.cluster.path)
	}
	return n, err
}

func (f *placedFile) ChecksumFailures() int { return 0 }

func (f *placedFile) InPlace(n int) (fd int, offset int64, ok bool) {
	return int(f.Fd()), f.offset - int64(n), f.cluster.clean
}

// fetch asks for base/1/100 and returns its content.
func fetch(c *rawClient, start string) []byte {
	c.t.Helper()
	c.query(start)
	c.Send("SEND_FILE ('base/1/100')")
	var content []byte
	for {
		kind, body, err := c.Next()
		switch {
		case err != nil || kind == 'E':
			c.t.Fatalf("message %q %q, %v", kind, body, err)
		case kind == 'd':
			content = append(content, body...)
		case kind == 'Z':
			return content
		}
	}
}

func overwrite(path string) error {
	return os.WriteFile(path, []byte(strings.Repeat("1", inPlaceSize)), 0o600)
}

// What lies in the page cache is sent over a plain Unix socket alone, and only where each
// page verified at the first look.
func TestInPlace_4_6(t *testing.T) {
	for _, tt := range []struct {
		name, start string
		serve       func(testing.TB, *walsender.Server) net.Addr
		clean       bool
		want        byte // the first frame's: '1' is what was written after the read
	}{
		{"unix", "START_BACKUP", serveUnix, true, '1'},
		{"unix, not clean", "START_BACKUP", serveUnix, false, 0},
		{"unix, throttled", "START_BACKUP MAX_RATE 1048576", serveUnix, true, '1'},
		{"TCP", "START_BACKUP", serve, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cluster := newPlacedCluster(t, overwrite)
			cluster.clean = tt.clean
			got := fetch(connect(t, tt.serve(t, &walsender.Server{Cluster: cluster}), "backup"), tt.start)
			if len(got) != inPlaceSize || got[0] != tt.want || got[100<<10] != tt.want {
				t.Errorf("%d bytes, first %q", len(got), got[0])
			}
		})
	}
}

func TestInPlace_4_6_TLS(t *testing.T) {
	cluster := newPlacedCluster(t, overwrite)
	addr := serve(t, &walsender.Server{Cluster: cluster, TLSConfig: serverTLS(t)})
	conn, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
	must(t, err)
	c := newRawClient(t, conn)
	c.startup(map[string]string{"user": "backup", "replication": "true"})
	if got := fetch(c, "START_BACKUP"); len(got) != inPlaceSize || got[0] != 0 {
		t.Errorf("%d bytes, first %q", len(got), got[0])
	}
}

// A file that is truncated within a frame is sent as it was read.
func TestInPlace_4_6_Truncated(t *testing.T) {
	for _, size := range []int64{0, 40<<10 + 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			cluster := newPlacedCluster(t, func(path string) error { return os.Truncate(path, size) })
			got := fetch(connect(t, serveUnix(t, &walsender.Server{Cluster: cluster}), "backup"), "START_BACKUP")
			if !slices.Equal(got, make([]byte, 128<<10)) {
				t.Errorf("%d bytes", len(got))
			}
		})
	}
}

// A peer that goes away within a frame ends the session, and nothing else.
func TestInPlace_4_6_PeerGone(t *testing.T) {
	cluster := newPlacedCluster(t, func(string) error { return nil })
	must(t, os.Truncate(cluster.path, 64<<20))
	addr := serveUnix(t, &walsender.Server{Cluster: cluster, MaxWALSenders: 1})
	c := connect(t, addr, "backup")
	c.query("START_BACKUP")
	c.Send("SEND_FILE ('base/1/100')")
	if _, err := io.ReadFull(c.Conn, make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	c.Conn.Close()
	reconnect(t, addr)
}
