package walsender_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// piped runs a session of the server over a pipe, and returns the client's end and
// where the session's end is told.
func piped(ctx context.Context, server *walsender.Server) (net.Conn, <-chan error) {
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.ServeConn(ctx, theirs) }()
	return ours, ended
}

func TestLimits_7_1_AuthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsender.Server{Cluster: newMemCluster()}
		conn, ended := piped(t.Context(), server)
		defer conn.Close()
		conn.Write([]byte{0, 0, 0}) // the beginning of a startup packet, and never more
		start := time.Now()
		<-ended
		if took := time.Since(start); took != 60*time.Second {
			t.Errorf("the connection was closed after %v, want 60 s", took)
		}
		server.Close()
	})
}

// TestLimits_7_1_SenderTimeout reads nothing of an answer: a file's reader has longer,
// unless the limit is set.
func TestLimits_7_1_SenderTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		set     time.Duration
		command string
		want    time.Duration
	}{
		"a file":            {0, "SEND_FILE ('base/1/big')", time.Hour},
		"a file, limit set": {10 * time.Second, "SEND_FILE ('base/1/big')", 10 * time.Second},
		"a list":            {0, "LIST_FILES", 60 * time.Second},
		"a list, limit set": {10 * time.Second, "LIST_FILES", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := newMemCluster()
				for i := range 5000 {
					cluster.files[fmt.Sprintf("base/1/%d", 1000+i)] = &fstest.MapFile{}
				}
				server := &walsender.Server{Cluster: cluster, SenderTimeout: test.set}
				conn, ended := piped(t.Context(), server)
				c := newRawClient(t, conn)
				conn.SetDeadline(time.Time{})
				c.startup(map[string]string{"user": "backup", "replication": "true"})
				c.query("START_BACKUP")
				time.Sleep(3 * time.Hour) // an idle leader is legal (§7.2)
				c.Send(test.command)
				c.message()
				start := time.Now()
				<-ended
				if took := time.Since(start); took < test.want || took > 2*test.want+time.Second {
					t.Errorf("a peer that reads nothing was closed after %v, want %v", took, test.want)
				}
				server.Close()
			})
		})
	}
}

func TestLimits_TooManyConnections(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), MaxWALSenders: 1})
	const connections = 2*1 + 64 + 1 // none says a word, and some of them have no place
	refusal := make(chan []byte, connections)
	for range connections {
		conn := rawDial(t, addr).Conn
		go func() {
			if said, _ := io.ReadAll(conn); len(said) > 0 {
				refusal <- said
			}
		}()
	}
	if said := string(<-refusal); !strings.Contains(said, "53300") {
		t.Errorf("the connection without a place got %q, want 53300", said)
	}
}

func TestShutdown_DoesNotWaitForever(t *testing.T) {
	gate := make(chan struct{})
	cluster := stubbornCluster{newMemCluster(), gate}
	server := &walsender.Server{Cluster: cluster}
	addr := serve(t, server)
	leader := connect(t, addr, "backup")
	leader.Send("START_BACKUP")
	cluster.expect(t, "stubborn")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := server.Shutdown(ctx); err == nil || err.Error() != "enough" {
		t.Errorf("Shutdown: %v, want the cause of its context", err)
	}
	close(gate)
}

// stubbornCluster does not care about its context.
type stubbornCluster struct {
	*memCluster
	gate chan struct{}
}

func (c stubbornCluster) StartBackup(context.Context, protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	c.entered <- "stubborn"
	<-c.gate
	return protocol.StartPoint{}, nil, errors.New("too late")
}
