package walsender_test

import (
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// closeWrite ends what the client says; it goes on to read.
func (c *rawClient) closeWrite() {
	c.t.Helper()
	must(c.t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
}

// What a client sent before it closed its sending side is answered, as PostgreSQL
// does it; also more than the server reads ahead, and by a command that is passed on.
func TestSession_1_7_HalfClosed(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	t.Run("idle", func(t *testing.T) {
		c := connect(t, addr, "backup")
		c.Send("SHOW block_size", "SHOW nosuch")
		c.closeWrite()
		wantAnswer(t, c.answer(), "RowDescription (block_size text)", `DataRow ("8192")`, "CommandComplete SHOW", ready)
		wantAnswer(t, c.answer(), `ErrorResponse ERROR 42704 unrecognized configuration parameter "nosuch"`, ready)
		wantAnswer(t, c.answer(), "EOF")
	})
	t.Run("joined", func(t *testing.T) {
		_, joined, _ := backupWith(t, addr)
		joined.Send("SEND_FILE ('base/1/100')", "SEND_FILE ('PG_VERSION')")
		joined.closeWrite()
		for range 2 {
			got := joined.answer()
			wantAnswer(t, got[len(got)-3:], "CopyDone", "CommandComplete SEND_FILE", ready)
		}
		wantAnswer(t, joined.answer(), "EOF")
	})
	t.Run("more than is read ahead", func(t *testing.T) {
		c := connect(t, addr, "backup")
		const queries = 90
		for range queries {
			c.Send("SHOW block_size" + strings.Repeat(" ", 1000))
		}
		c.closeWrite()
		for range queries {
			got := c.answer()
			wantAnswer(t, got[len(got)-1:], ready)
		}
		wantAnswer(t, c.answer(), "EOF")
	})
	t.Run("passed through", func(t *testing.T) {
		c, cluster := passSession(t)
		c.Send("IDENTIFY_SYSTEM", "SHOW block_size")
		c.closeWrite()
		u := cluster.upstream(t)
		for _, command := range []string{"IDENTIFY_SYSTEM", "SHOW block_size"} {
			u.query(command)
			u.say(complete(command), readyForQuery)
			wantAnswer(t, c.answer(), "CommandComplete "+command, ready)
		}
		u.goodbye()
		wantAnswer(t, c.answer(), "EOF")
	})
}

// A leader that closes its sending side has gone (§3.5), also before its START_BACKUP
// is come to.
func TestSession_3_5_HalfClosedLeader(t *testing.T) {
	t.Run("leading", func(t *testing.T) {
		cluster := newMemCluster()
		leader, _, _ := backupWith(t, serve(t, &walsender.Server{Cluster: cluster}))
		leader.query("SHOW block_size")
		leader.closeWrite()
		cluster.expect(t, "aborted")
		wantAnswer(t, leader.answer(), "EOF")
	})
	t.Run("starting", func(t *testing.T) {
		cluster := newMemCluster()
		cluster.startGate = make(chan struct{})
		c := connect(t, serve(t, &walsender.Server{Cluster: cluster}), "backup")
		c.Send("SHOW block_size", "START_BACKUP", "STOP_BACKUP")
		c.closeWrite()
		cluster.expect(t, "start")
		cluster.expect(t, "start given up")
		got := c.answer()
		wantAnswer(t, got[len(got)-1:], ready) // of SHOW
		wantAnswer(t, c.answer(), "EOF")
	})
}

// A peer on a Unix socket that is gone altogether is noticed while a passed-through
// command waits: PostgreSQL is asked to give it up.
func TestSession_PeerGoneFromPassedCommand(t *testing.T) {
	cluster := newPassCluster()
	server := &walsender.Server{Cluster: cluster}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	defer func() { server.Close(); <-done }()
	c := connect(t, l.Addr(), "backup")
	c.Send("BASE_BACKUP")
	u := cluster.upstream(t)
	u.query("BASE_BACKUP")
	c.Conn.Close()
	select {
	case <-cluster.cancels:
	case <-time.After(patience):
		t.Fatal("the command goes on")
	}
	u.goodbye()
}

// An answer that is due does not wait for a command that takes its time.
func TestSession_1_7_AnswersBeforeTheWait(t *testing.T) {
	cluster := newMemCluster()
	cluster.startGate, cluster.stopGate = make(chan struct{}), make(chan struct{})
	c := connect(t, serve(t, &walsender.Server{Cluster: cluster}), "backup")
	c.Send("SHOW block_size", "START_BACKUP")
	got := c.answer()
	wantAnswer(t, got[len(got)-2:], "CommandComplete SHOW", ready)
	close(cluster.startGate)
	c.answer()
	c.Send("SHOW block_size", "STOP_BACKUP")
	got = c.answer()
	wantAnswer(t, got[len(got)-2:], "CommandComplete SHOW", ready)
	close(cluster.stopGate)
	c.answer()
}

// The reason for which an earlier backup was lost is not told of a later one, however
// late it comes.
func TestRunningBackup_OldReason(t *testing.T) {
	logging, goOn := make(chan struct{}), make(chan struct{})
	log := zap.New(zapcore.NewNopCore()).WithOptions(zap.WrapCore(func(zapcore.Core) zapcore.Core {
		return zapcore.RegisterHooks(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.ErrorLevel),
			func(e zapcore.Entry) error { close(logging); <-goOn; return nil })
	}))
	cluster, backups := newPassCluster(), sharedstate.NewTable(0)
	leader := connect(t, serve(t, &walsender.Server{Cluster: cluster, Backups: backups, Logger: log}), "backup")
	leader.query("START_BACKUP")
	cluster.lost <- &protocol.BackupLostError{Detail: "The first was lost."}
	<-logging
	leader.query("STOP_BACKUP")
	id := value(t, leader.query("START_BACKUP"), 3)
	close(goOn)
	for stacks := ""; stacks == "" || strings.Count(stacks, "(*membership).watch.func1(") > 1; { // the first one's has ended
		runtime.Gosched()
		buffer := make([]byte, 1<<20)
		stacks = string(buffer[:runtime.Stack(buffer, true)])
	}
	b, err := backups.Join(id, "backup", cluster.Directory())
	must(t, err)
	b.Abort()
	wantAnswer(t, leader.query("STOP_BACKUP"), `ErrorResponse ERROR 55000 backup "`+id[:8]+`" was aborted`, ready)
}
