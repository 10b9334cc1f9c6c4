package walsender_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// A backup's end is a line of the log and a call, with what was counted, whether it ended
// well or not; and so is a session's.
func TestServer_Ends(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	backups, sessions := make(chan walsender.BackupEnd, 10), make(chan walsender.SessionEnd, 10)
	addr := serve(t, &walsender.Server{
		Cluster: newMemCluster(), Logger: zap.New(core),
		BackupEnded:  func(e walsender.BackupEnd) { backups <- e },
		SessionEnded: func(e walsender.SessionEnd) { sessions <- e },
	})
	c, worker := connect(t, addr, "bob"), connect(t, addr, "bob")
	id := value(t, c.query("START_BACKUP LABEL 'nightly'"), 3)
	worker.query("JOIN_BACKUP '" + id + "'")
	worker.query("SEND_FILE ('PG_VERSION')")
	c.query("SEND_FILE ('global/pg_control')")
	c.query("STOP_BACKUP")
	e := <-backups
	if e.Err != nil || e.ID != id[:8] || e.Owner != "bob" || e.Label != "nightly" || e.FilesSent != 2 || e.BytesSent == 0 || e.SessionsJoined != 1 || e.Duration <= 0 {
		t.Errorf("the backup ended as %+v", e)
	}
	c.query("START_BACKUP")
	c.Conn.Close()
	if e := <-backups; e.Err == nil {
		t.Errorf("a backup whose leader is gone ended as %+v", e)
	}
	if e := <-sessions; e.User != "bob" || e.BytesSent == 0 || e.Duration <= 0 || e.ProcessID == 0 {
		t.Errorf("the session ended as %+v", e)
	}
	want := map[string]zapcore.Level{"backup completed": zap.InfoLevel, "backup failed": zap.WarnLevel}
	for _, entry := range logs.All() {
		if level, told := want[entry.Message]; told && level == entry.Level {
			delete(want, entry.Message)
			if fields := entry.ContextMap(); fields["backup"] == nil || fields["files"] == nil || fields["rate"] == nil || fields["sessions"] == nil || fields["session"] == nil {
				t.Errorf("%s: %v", entry.Message, fields)
			}
		}
		if strings.Contains(fmt.Sprint(entry.ContextMap()), id) {
			t.Errorf("the log has the id of the backup: %v", entry)
		}
	}
	if len(want) > 0 {
		t.Errorf("the log lacks %v", want)
	}
}

// down is a cluster whose PostgreSQL does not run.
type down struct{ *memCluster }

func (down) Settings(context.Context) (protocol.Settings, error) {
	return protocol.Settings{}, protocol.Errorf(protocol.CodeCannotConnectNow, "the cluster's server cannot be reached")
}

// A client that is turned away is a warning with its user, and only one.
func TestServer_TurnedAway(t *testing.T) {
	for _, test := range []struct {
		server *walsender.Server
		want   string
	}{
		{&walsender.Server{Cluster: down{newMemCluster()}}, "session refused"},
		{&walsender.Server{Cluster: newMemCluster(), AuthFailureDelay: -1, Authenticator: authFunc(func(*walsender.Handshake) (walsender.Grant, error) {
			return walsender.Grant{}, protocol.Fatalf(protocol.CodeInvalidPassword, "wrong")
		})}, "authentication failed"},
	} {
		core, logs := observer.New(zap.WarnLevel)
		test.server.Logger = zap.New(core)
		c := rawDial(t, serve(t, test.server))
		c.startup(map[string]string{"user": "bob", "replication": "true"})
		test.server.Close() // the log is complete then
		lines := logs.FilterLevelExact(zap.WarnLevel).All()
		if len(lines) != 1 || lines[0].Message != test.want || lines[0].ContextMap()["user"] != "bob" {
			t.Errorf("the log has %v, want one line %q", lines, test.want)
		}
	}
}

// nonsense is a cluster whose answers no cluster gives.
type nonsense struct {
	*memCluster
	settings    func(*protocol.Settings)
	system      protocol.System
	tablespaces []protocol.Tablespace
	open        error
}

func (n nonsense) Tablespaces(context.Context, bool) ([]protocol.Tablespace, error) {
	return n.tablespaces, nil
}

func (n nonsense) Settings(ctx context.Context) (protocol.Settings, error) {
	s, err := n.memCluster.Settings(ctx)
	if n.settings != nil {
		n.settings(&s)
	}
	return s, err
}

func (n nonsense) Identify(context.Context) (protocol.System, error) { return n.system, nil }

func (n nonsense) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if n.open != nil {
		return nil, &fs.PathError{Op: "open", Path: "/secret/" + name, Err: n.open}
	}
	return n.memCluster.Open(ctx, name, o)
}

// What a Cluster must not return is found by the server, and the log names the method.
func TestServer_ImpossibleAnswers(t *testing.T) {
	for method, cluster := range map[string]nonsense{
		"Identify": {memCluster: newMemCluster()},
		"Settings": {memCluster: newMemCluster(), settings: func(s *protocol.Settings) { s.DataDirectoryMode = 0 }},
	} {
		core, logs := observer.New(zap.ErrorLevel)
		c := rawDial(t, serve(t, &walsender.Server{Cluster: cluster, Logger: zap.New(core)}))
		got := c.startup(map[string]string{"user": "bob", "replication": "true"})
		if method != "Settings" {
			got = c.query("IDENTIFY_SYSTEM")
		}
		if told := strings.Join(got, "\n"); !strings.Contains(told, "XX000 internal error of the server, see its log") {
			t.Errorf("%s: answer %q", method, got)
		}
		if !strings.Contains(fmt.Sprint(logs.All()), "method "+method+" has returned") {
			t.Errorf("%s: the log says %v", method, logs.All())
		}
	}
}

// A list of tablespaces that no cluster has is found by the server, too.
func TestServer_4_4_ImpossibleTablespaces(t *testing.T) {
	data, space := protocol.Tablespace{Size: -1}, protocol.Tablespace{OID: 16500, Location: "/fast", Size: 7}
	for want, list := range map[string][]protocol.Tablespace{
		"":                       {space, data},
		"does not end with":      nil,
		"end with the data":      {data, space},
		"before the last row":    {data, space, data},
		"tablespace 16500 twice": {space, space, data},
		"without a location":     {{OID: 16500, Size: -1}, data},
		"of the data directory":  {{Location: "/srv", Size: -1}},
		"size -2":                {{OID: 16500, Location: "/fast", Size: -2}, data},
	} {
		core, logs := observer.New(zap.ErrorLevel)
		c := connect(t, serve(t, &walsender.Server{Cluster: nonsense{memCluster: newMemCluster(), tablespaces: list}, Logger: zap.New(core)}), "bob")
		got, said := c.query("LIST_TABLESPACES"), fmt.Sprint(logs.All())
		switch {
		case want == "" && (logs.Len() > 0 || len(got) != 5):
			t.Errorf("%v: answer %q, the log says %s", list, got, said)
		case want != "" && (!strings.Contains(said, "method Tablespaces has returned") || !strings.Contains(said, want)):
			t.Errorf("%s: answer %q, the log says %s", want, got, said)
		}
	}
}

// A file that is not there, or may not be read, is so by its SQLSTATE, whatever the
// Cluster calls it, and its place on the server stays there.
func TestSendFile_4_6_FileErrors(t *testing.T) {
	for open, want := range map[error]string{
		fs.ErrNotExist:   `ErrorResponse ERROR 58P01 could not open file "PG_VERSION": No such file or directory`,
		fs.ErrPermission: `ErrorResponse ERROR 58030 could not open file "PG_VERSION": Permission denied`,
	} {
		c := connect(t, serve(t, &walsender.Server{Cluster: nonsense{memCluster: newMemCluster(), open: open}}), "bob")
		c.query("START_BACKUP")
		if got := c.query("SEND_FILE ('PG_VERSION')"); got[0] != want {
			t.Errorf("answer %q", got)
		}
	}
}
