package walsender_test

import (
	"context"
	"io/fs"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// panicCluster is an embedder's cluster with a fault: one of its methods, at most,
// panics.
type panicCluster struct {
	*passCluster
	at atomic.Pointer[string]
}

func newPanicCluster() *panicCluster { return &panicCluster{passCluster: newPassCluster()} }

func (c *panicCluster) panicAt(method string) { c.at.Store(&method) }

func (c *panicCluster) enter(method string) {
	if at := c.at.Load(); at != nil && *at == method {
		panic(method + ": index out of range")
	}
}

func (c *panicCluster) Settings(ctx context.Context) (protocol.Settings, error) {
	c.enter("Settings")
	return c.passCluster.Settings(ctx)
}

func (c *panicCluster) InRecovery(ctx context.Context) (bool, error) {
	c.enter("InRecovery")
	return c.passCluster.InRecovery(ctx)
}

func (c *panicCluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	c.enter("StartBackup")
	start, b, err := c.passCluster.StartBackup(ctx, r)
	return start, panicBackup{b, c}, err
}

type panicBackup struct {
	protocol.RunningBackup
	cluster *panicCluster
}

func (b panicBackup) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	b.cluster.enter("Stop")
	return b.RunningBackup.Stop(ctx, wait, notice)
}

func (b panicBackup) Abort() {
	b.cluster.enter("Abort")
	b.RunningBackup.Abort()
}

func (b panicBackup) Lost() <-chan *protocol.BackupLostError {
	b.cluster.enter("Lost")
	return b.RunningBackup.Lost()
}

func (c *panicCluster) Tablespaces(ctx context.Context, sizes bool) ([]protocol.Tablespace, error) {
	c.enter("Tablespaces")
	return c.passCluster.Tablespaces(ctx, sizes)
}

func (c *panicCluster) Files(ctx context.Context, tablespace string, notice protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		for f, err := range c.passCluster.Files(ctx, tablespace, notice) {
			if !yield(f, err) {
				return
			}
			c.enter("Files")
		}
	}
}

func (c *panicCluster) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	c.enter("Open")
	return c.passCluster.Open(ctx, name, o)
}

func (c *panicCluster) DialWALSender(ctx context.Context, parameters map[string]string) (*walsender.WALSenderConn, error) {
	c.enter("DialWALSender")
	return c.passCluster.DialWALSender(ctx, parameters)
}

func (c *panicCluster) authorize(context.Context, walsender.Caller, string) error {
	c.enter("Authorize")
	return nil
}

// A panic of the embedder's code ends its session and nothing else: its place, its
// backup and its connections are given back, wherever it comes.
func TestServeConn_PanicGivesEverythingBack(t *testing.T) {
	for method, command := range map[string]string{
		"Authorize":     "LIST_FILES",
		"InRecovery":    "START_BACKUP",
		"StartBackup":   "START_BACKUP",
		"Stop":          "STOP_BACKUP",
		"Abort":         "", // when the leader goes
		"Lost":          "START_BACKUP",
		"Tablespaces":   "LIST_TABLESPACES",
		"Files":         "LIST_FILES",
		"Open":          "SEND_FILE ('base/1/100')",
		"DialWALSender": "IDENTIFY_SYSTEM",
	} {
		t.Run(method, func(t *testing.T) {
			cluster, backups := newPanicCluster(), sharedstate.NewTable(0)
			addr := serve(t, &walsender.Server{Cluster: cluster, Backups: backups, MaxWALSenders: 1, Authorize: cluster.authorize})
			leader := connect(t, addr, "backup")
			if command != "START_BACKUP" {
				leader.query("START_BACKUP")
			}
			cluster.panicAt(method)
			if command == "" {
				leader.Conn.Close()
			} else if got := leader.query(command); got[len(got)-1] != "EOF" {
				t.Errorf("%s: answer %q, want an end of the session", command, got)
			}
			reconnect(t, addr)
			if left := backups.Backups(); len(left) > 0 {
				t.Errorf("the table still has %+v", left)
			}
		})
	}
}

// A panic in the greeting gives back the place that the session had just got.
func TestServeConn_PanicInGreeting(t *testing.T) {
	cluster := newPanicCluster()
	addr := serve(t, &walsender.Server{Cluster: cluster, MaxWALSenders: 1})
	cluster.panicAt("Settings")
	for range 3 {
		got := rawDial(t, addr).startup(map[string]string{"user": "backup", "replication": "true"})
		wantAnswer(t, got, "EOF")
	}
	cluster.panicAt("")
	reconnect(t, addr)
}
