package walsender_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// replacedCluster is a cluster whose directory the test replaces.
type replacedCluster struct {
	*memCluster
	mu     sync.Mutex
	latest any // what Reopen returns; nil: 57P03
	users  int
}

func (c *replacedCluster) replace(with any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = with
}

func (c *replacedCluster) Reopen(context.Context) (any, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest == nil {
		return nil, nil, protocol.Errorf(protocol.CodeCannotConnectNow, "gone")
	}
	c.users++
	return c.latest, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.users--
	}, nil
}

// namedCluster is a memory cluster in a directory of that name.
type namedCluster struct {
	*memCluster
	directory string
}

func (c namedCluster) Directory() string { return c.directory }

func inDirectory(name string) namedCluster {
	c := namedCluster{newMemCluster(), name}
	c.files[name] = &fstest.MapFile{Data: []byte(name)}
	return c
}

// TestReopener_4_2 replaces the directory under sessions: those without a backup go
// over to the new one, those with one stay, and the two do not mix.
func TestReopener_4_2(t *testing.T) {
	cluster := &replacedCluster{memCluster: newMemCluster(), latest: inDirectory("old")}
	server := &walsender.Server{Cluster: cluster}
	addr := serve(t, server)
	leader, worker, idle := connect(t, addr, "bob"), connect(t, addr, "bob"), connect(t, addr, "bob")
	id := value(t, leader.query("START_BACKUP"), 3)
	if got := worker.query("JOIN_BACKUP '" + id + "'"); len(got) != 2 {
		t.Fatalf("answer %q", got)
	}

	cluster.replace(inDirectory("new"))
	for name, test := range map[string]struct {
		session *rawClient
		command string
		want    string // in the first message
	}{
		"the leader stays":                 {leader, "SEND_FILE ('old')", "CopyOutResponse"},
		"a worker stays":                   {worker, "SEND_FILE ('new')", "ErrorResponse ERROR 58P01"},
		"an idle session cannot join":      {idle, "JOIN_BACKUP '" + id + "'", `ErrorResponse ERROR 55000 backup "` + id[:8] + `" is of another data directory`},
		"a new session cannot join either": {connect(t, addr, "bob"), "JOIN_BACKUP '" + id + "'", "ErrorResponse ERROR 55000"},
	} {
		if got := test.session.query(test.command); !strings.HasPrefix(got[0], test.want) {
			t.Errorf("%s: answer %q", name, got)
		}
	}
	if got := idle.query("START_BACKUP"); len(got) != 4 {
		t.Fatalf("answer %q", got)
	}
	if got := idle.query("SEND_FILE ('new')"); got[0] != "CopyOutResponse" {
		t.Errorf("answer %q", got)
	}
	if got := leader.query("STOP_BACKUP"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
	// For its WAL a session stays where its backup was (§3.9).
	if got := leader.query("LIST_FILES"); !strings.Contains(strings.Join(got, "\n"), `"old"`) {
		t.Errorf("answer %q", got)
	}

	cluster.replace(nil)
	last := rawDial(t, addr)
	if got := last.startup(map[string]string{"user": "bob", "replication": "true"}); got[0] != "ErrorResponse FATAL 57P03 gone" {
		t.Errorf("the greeting is %q", got)
	}
	cluster.replace(errors.New("no cluster"))
	if got := leader.query("START_BACKUP"); !strings.HasPrefix(got[0], "ErrorResponse ERROR XX000") {
		t.Errorf("answer %q", got)
	}
	must(t, server.Close())
	if cluster.users != 0 {
		t.Errorf("%d users are left", cluster.users)
	}
}
