package walsender_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

const (
	inProgress = "ErrorResponse ERROR 55000 a backup is already in progress in this session"
	noBackup   = "ErrorResponse ERROR 55000 no backup is in progress in this session | hint: Use START_BACKUP or JOIN_BACKUP first."
	ready      = "ReadyForQuery I"
)

// backupWith starts a backup and joins it with a second session.
func backupWith(t *testing.T, addr net.Addr) (leader, joined *rawClient, id string) {
	t.Helper()
	leader, joined = connect(t, addr, "backup"), connect(t, addr, "backup")
	id = value(t, leader.query("START_BACKUP"), 3)
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Fatalf("id %q is not 32 lower-case hexadecimal characters", id)
	}
	wantAnswer(t, joined.query("JOIN_BACKUP '"+id+"'"), "CommandComplete JOIN_BACKUP", ready)
	return leader, joined, id
}

func TestSession_3_1_NeedsIdle(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	leader, joined, id := backupWith(t, addr)
	for _, c := range []*rawClient{leader, joined} {
		wantAnswer(t, c.query("START_BACKUP"), inProgress, ready)
		wantAnswer(t, c.query("JOIN_BACKUP '"+id+"'"), inProgress, ready)
	}
}

func TestSession_3_3_IDsAreCutInLogs(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Logger: zap.New(core)})
	leader, joined, id := backupWith(t, addr)
	joined.query("SEND_FILE ('base/1/100')")
	joined.query("JOIN_BACKUP '" + id)
	joined.query("JOIN_BACKUP '" + id + "' extra")
	joined.query("FOO '" + id + "'")
	connect(t, addr, "other").query("JOIN_BACKUP '" + id + "'")
	leader.query("STOP_BACKUP")
	for _, entry := range logs.All() {
		for name, field := range entry.ContextMap() {
			if text, ok := field.(string); ok && strings.Contains(text, id[:9]) {
				t.Errorf("%s: field %s has the id: %s", entry.Message, name, text)
			}
		}
	}
	if logs.FilterMessage("command").Len() < 8 {
		t.Errorf("%d command lines, want one a command", logs.FilterMessage("command").Len())
	}
}

func TestSession_3_4_MaxConcurrentBackups(t *testing.T) {
	cluster := newMemCluster()
	cluster.startGate = make(chan struct{})
	addr := serve(t, &walsender.Server{Cluster: cluster, MaxWALSenders: 20})
	for range 10 { // a place is taken before the checkpoint
		connect(t, addr, "backup").Send("START_BACKUP")
		cluster.expect(t, "start")
	}
	got := connect(t, addr, "backup").query("START_BACKUP")
	if !strings.HasPrefix(got[0], "ErrorResponse ERROR 53400") {
		t.Errorf("the 11th backup: %q, want 53400", got)
	}
}

// The leader goes away in each way there is, at each point there is.
func TestSession_3_5_LeaderLost(t *testing.T) {
	ends := map[string]func(*rawClient){
		"closed": func(c *rawClient) { c.Conn.Close() },
		"reset":  func(c *rawClient) { c.Conn.(*net.TCPConn).SetLinger(0); c.Conn.Close() },
		"terminated": func(c *rawClient) {
			c.Write([]byte{'X', 0, 0, 0, 4})
			c.Conn.Close()
		},
		"closed with unread bytes": func(c *rawClient) {
			// More than the server reads ahead, so that only the socket's state can
			// tell, and no more than the kernel takes: the end comes behind it.
			queries := make([]string, 90)
			for i := range queries {
				queries[i] = "SHOW server_version" + strings.Repeat(" ", 1000)
			}
			c.Send(queries...)
			c.Conn.Close()
		},
	}
	for name, end := range ends {
		t.Run("checkpoint/"+name, func(t *testing.T) {
			cluster := newMemCluster()
			cluster.startGate = make(chan struct{})
			addr := serve(t, &walsender.Server{Cluster: cluster})
			leader := connect(t, addr, "backup")
			leader.Send("START_BACKUP")
			cluster.expect(t, "start")
			end(leader)
			cluster.expect(t, "start given up")
		})
		t.Run("running/"+name, func(t *testing.T) {
			cluster := newMemCluster()
			addr := serve(t, &walsender.Server{Cluster: cluster})
			leader, joined, id := backupWith(t, addr)
			end(leader)
			cluster.expect(t, "aborted")
			aborted := `ErrorResponse ERROR 55000 backup "` + id[:8] + `" was aborted`
			wantAnswer(t, joined.query("SEND_FILE ('base/1/100')"), aborted, ready)
			wantAnswer(t, joined.query("SEND_FILE ('base/1/100')"), aborted, ready)
			wantAnswer(t, joined.query("JOIN_BACKUP '"+id+"'"),
				`ErrorResponse ERROR 42704 backup "`+id[:8]+`" does not exist`, ready)
			got := joined.query("START_BACKUP") // idle again
			wantAnswer(t, got[len(got)-2:], "CommandComplete START_BACKUP", ready)
		})
		t.Run("stopping/"+name, func(t *testing.T) {
			cluster := newMemCluster()
			cluster.stopGate = make(chan struct{})
			addr := serve(t, &walsender.Server{Cluster: cluster})
			leader, joined, id := backupWith(t, addr)
			leader.Send("STOP_BACKUP")
			cluster.expect(t, "stop")
			end(leader)
			cluster.expect(t, "stop given up")
			for { // until the session has noticed that the cluster gave up
				got := joined.query("SEND_FILE ('base/1/100')")
				if got[0] == `ErrorResponse ERROR 55000 backup "`+id[:8]+`" was aborted` {
					break
				}
				wantAnswer(t, got, `ErrorResponse ERROR 55000 backup "`+id[:8]+`" is being stopped`, ready)
			}
		})
	}
}

func TestSession_3_5_RunningSendFileEnds(t *testing.T) {
	cluster := newMemCluster()
	reading := make(chan struct{})
	gate := make(chan struct{})
	cluster.reading = func(string, io.Reader) io.Reader { return &gatedReader{reading, gate} }
	addr := serve(t, &walsender.Server{Cluster: cluster})
	leader, joined, id := backupWith(t, addr)
	joined.Send("SEND_FILE ('base/1/100')")
	<-reading
	leader.Conn.Close()
	cluster.expect(t, "aborted")
	close(gate)
	wantAnswer(t, joined.answer(), "CopyOutResponse", `ErrorResponse ERROR 55000 backup "`+id[:8]+`" was aborted`, ready)
}

// gatedReader says when it is read, waits for the gate, and then has much to say.
type gatedReader struct{ reading, gate chan struct{} }

func (r *gatedReader) Read(p []byte) (int, error) {
	select {
	case <-r.gate:
	default:
		close(r.reading)
		<-r.gate
	}
	return len(p), nil
}

func TestSession_3_5_DeafSessionIsClosed(t *testing.T) {
	cluster := newMemCluster()
	server := &walsender.Server{Cluster: cluster}
	addr := serve(t, server)
	leader := connect(t, addr, "backup")
	id := value(t, leader.query("START_BACKUP"), 3)

	// A pipe holds nothing: the server's write waits until it is read.
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- server.ServeConn(t.Context(), theirs) }()
	deaf := newRawClient(t, ours)
	deaf.startup(map[string]string{"user": "backup", "replication": "true"})
	deaf.query("JOIN_BACKUP '" + id + "'")
	deaf.Send("SEND_FILE ('base/1/big')")
	deaf.message()
	leader.Conn.Close()
	cluster.expect(t, "aborted")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the session of a peer that does not read goes on after the abort")
	}
}

func TestSession_3_6_JoinedSessionGoes(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	leader, joined, id := backupWith(t, addr)
	joined.Conn.Close()
	another := connect(t, addr, "backup")
	wantAnswer(t, another.query("JOIN_BACKUP '"+id+"'"), "CommandComplete JOIN_BACKUP", ready)
	got := another.query("SEND_FILE ('base/1/100')")
	wantAnswer(t, got, "CopyOutResponse", "CopyData 131072 bytes", "CopyData 131072 bytes", "CopyData 45056 bytes",
		"CopyDone", "CommandComplete SEND_FILE", ready)
	got = leader.query("STOP_BACKUP")
	wantAnswer(t, got[len(got)-2:], "CommandComplete STOP_BACKUP", ready)
}

func TestSession_3_7_StopBackup(t *testing.T) {
	cluster := newMemCluster()
	reading, gate := make(chan struct{}), make(chan struct{})
	cluster.reading = func(name string, r io.Reader) io.Reader {
		if name == "base/1/100" {
			return io.MultiReader(io.LimitReader(&gatedReader{reading, gate}, 8192), r)
		}
		return r
	}
	addr := serve(t, &walsender.Server{Cluster: cluster})
	idle := connect(t, addr, "backup")
	wantAnswer(t, idle.query("STOP_BACKUP"), noBackup, ready)
	leader, joined, id := backupWith(t, addr)
	wantAnswer(t, joined.query("STOP_BACKUP"),
		"ErrorResponse ERROR 55000 only the session that started the backup can stop it", ready)

	joined.Send("SEND_FILE ('base/1/100')")
	<-reading
	if got := leader.query("STOP_BACKUP"); !strings.HasPrefix(got[0], "ErrorResponse ERROR 55006") {
		t.Errorf("STOP_BACKUP while a file is sent: %q, want 55006", got)
	}
	if got := leader.query("SEND_FILE ('global/pg_control')"); !strings.HasPrefix(got[0], "ErrorResponse ERROR 55006") {
		t.Errorf("pg_control while a file is sent: %q, want 55006", got)
	}
	close(gate)
	got := joined.answer()
	wantAnswer(t, got[len(got)-2:], "CommandComplete SEND_FILE", ready)

	wantAnswer(t, leader.query("STOP_BACKUP NOWAIT"),
		"RowDescription (startptr text, tli int8, backup_label text, stopptr text, stoptli int8)",
		`DataRow ("0/2000028", "1", NULL, "0/20000A0", "1")`, "CommandComplete STOP_BACKUP", ready)
	ended := `ErrorResponse ERROR 55000 backup "` + id[:8] + `" has ended`
	wantAnswer(t, joined.query("SEND_FILE ('base/1/100')"), ended, ready)
	wantAnswer(t, leader.query("STOP_BACKUP"), noBackup, ready)
	wantAnswer(t, leader.query("JOIN_BACKUP '"+id+"'"),
		`ErrorResponse ERROR 42704 backup "`+id[:8]+`" does not exist`, ready)
}

// A panic in a joined session costs that session: the backup can be stopped.
func TestSession_3_6_JoinedSessionPanics(t *testing.T) {
	for _, where := range []string{"opening", "reading"} {
		t.Run(where, func(t *testing.T) {
			cluster := newMemCluster()
			cluster.reading = func(name string, r io.Reader) io.Reader {
				switch {
				case name != "base/1/100":
					return r
				case where == "opening":
					panic("a fault of the cluster")
				}
				return panicReader{}
			}
			addr := serve(t, &walsender.Server{Cluster: cluster})
			leader, joined, _ := backupWith(t, addr)
			joined.Send("SEND_FILE ('base/1/100')")
			if got := joined.answer(); got[len(got)-1] != "EOF" {
				t.Errorf("the session that panicked answers %q", got)
			}
			for _, command := range []string{"SEND_FILE ('global/pg_control')", "STOP_BACKUP"} {
				got := leader.query(command)
				wantAnswer(t, got[len(got)-2:], "CommandComplete "+command[:strings.IndexByte(command+" ", ' ')], ready)
			}
		})
	}
}

// panicReader is a file whose cluster has a fault.
type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("a fault of the cluster") }

// What was sent beside pg_control, or after it, makes it stale. Only a backup that
// began in recovery minds.
func TestSession_4_8_ControlFileIsLast(t *testing.T) {
	cluster := newMemCluster()
	cluster.inRecovery.Store(true)
	reading, gate := make(chan struct{}), make(chan struct{})
	cluster.reading = func(name string, r io.Reader) io.Reader {
		if name == "global/pg_control" {
			return io.MultiReader(io.LimitReader(&gatedReader{reading, gate}, 8192), r)
		}
		return r
	}
	leader, joined, id := backupWith(t, serve(t, &walsender.Server{Cluster: cluster}))
	stale := `ErrorResponse ERROR 55000 backup "` + id[:8] + `" has no global/pg_control yet that was sent after every other file` +
		" | hint: Ask for global/pg_control, then stop the backup."
	wantAnswer(t, leader.query("STOP_BACKUP"), stale, ready)

	leader.Send("SEND_FILE ('global/pg_control')")
	<-reading
	wantAnswer(t, joined.query("SEND_FILE ('base/1/100')"), `ErrorResponse ERROR 55006 backup "`+id[:8]+`" is in use by 1 SEND_FILE command`+
		" | hint: Wait until global/pg_control has been sent, and ask for it again after this file.", ready)
	close(gate)
	leader.answer()
	joined.query("SEND_FILE ('base/1/100')")
	wantAnswer(t, leader.query("STOP_BACKUP"), stale, ready)
	joined.query("SEND_FILE ('global/pg_control')")
	got := leader.query("STOP_BACKUP")
	wantAnswer(t, got[len(got)-2:], "CommandComplete STOP_BACKUP", ready)
}

func TestSession_3_7_StopFailsInCluster(t *testing.T) {
	cluster := newMemCluster()
	cluster.stopErr = protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the cluster has changed")
	addr := serve(t, &walsender.Server{Cluster: cluster})
	leader, joined, id := backupWith(t, addr)
	wantAnswer(t, leader.query("STOP_BACKUP"), "ErrorResponse ERROR 55000 the cluster has changed", ready)
	wantAnswer(t, joined.query("SEND_FILE ('base/1/100')"),
		`ErrorResponse ERROR 55000 backup "`+id[:8]+`" was aborted`, ready)
}

func TestSession_3_8_NeedsNoBackup(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	c := connect(t, addr, "backup")
	for _, command := range []string{"LIST_TABLESPACES", "LIST_FILES"} {
		got := c.query(command)
		wantAnswer(t, got[len(got)-2:], "CommandComplete "+command, ready)
	}
	wantAnswer(t, c.query("SEND_FILE ('base/1/100')"), noBackup, ready)
}

func TestSession_4_2_WrongIDs(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster()})
	_, _, id := backupWith(t, addr)
	other := connect(t, addr, "other")
	doesNotExist := `backup "` + id[:8] + `" does not exist`
	for range 4 {
		wantAnswer(t, other.query("JOIN_BACKUP '"+id+"'"), "ErrorResponse ERROR 42704 "+doesNotExist, ready)
	}
	wantAnswer(t, other.query("JOIN_BACKUP '"+id+"'"), "ErrorResponse FATAL 42704 "+doesNotExist, "EOF")
}

func TestSession_4_6_Promotion(t *testing.T) {
	cluster := newMemCluster()
	cluster.inRecovery.Store(true)
	addr := serve(t, &walsender.Server{Cluster: cluster})
	leader, _, _ := backupWith(t, addr)
	cluster.inRecovery.Store(false)
	wantAnswer(t, leader.query("SEND_FILE ('base/1/100')"),
		"ErrorResponse ERROR 55000 the standby was promoted during online backup | hint: "+
			"This means that the backup being taken is corrupt and should not be used. Try taking another online backup.", ready)
}

func TestCounters_6_1(t *testing.T) {
	backups := sharedstate.NewTable(0)
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Backups: backups})
	leader, joined, id := backupWith(t, addr)
	leader.query("LIST_TABLESPACES PROGRESS")
	joined.query("SEND_FILE ('base/1/100')")
	got := backups.Backups()
	want := sharedstate.Counters{BytesSent: 300 << 10, BytesTotal: 7 << 10, FilesSent: 1, SessionsJoined: 1}
	if len(got) != 1 || got[0].ID != id[:8] || got[0].Owner != "backup" || got[0].Counters != want {
		t.Errorf("the table has %+v, want %+v", got, want)
	}
}

// A leader that lists the files has no need to ask for sizes besides.
func TestCounters_6_1_Listed(t *testing.T) {
	backups := sharedstate.NewTable(0)
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), Backups: backups})
	leader, joined, _ := backupWith(t, addr)
	total := func() int64 { return backups.Backups()[0].Counters.BytesTotal }
	joined.query("LIST_FILES")
	if total() != 0 {
		t.Errorf("the total is %d, of a list that the leader did not ask for", total())
	}
	leader.query("LIST_FILES")
	listed := total()
	leader.query("LIST_FILES")
	if listed == 0 || total() != listed {
		t.Errorf("the total is %d when the files are listed, and %d when they are listed again", listed, total())
	}
	leader.query("LIST_TABLESPACES PROGRESS")
	leader.query("LIST_FILES")
	if total() != 7<<10 {
		t.Errorf("the total is %d, not the one that was asked for", total())
	}
}

func TestSession_InternalErrorsStayHere(t *testing.T) {
	cluster := newMemCluster()
	cluster.stopErr = io.ErrUnexpectedEOF
	core, logs := observer.New(zap.ErrorLevel)
	addr := serve(t, &walsender.Server{Cluster: cluster, Logger: zap.New(core)})
	leader, _, _ := backupWith(t, addr)
	wantAnswer(t, leader.query("STOP_BACKUP"), "ErrorResponse ERROR XX000 internal error of the server, see its log", ready)
	if logs.Len() != 1 || logs.All()[0].ContextMap()["error"] != "unexpected EOF" {
		t.Errorf("the log has %v", logs.All())
	}
}

func TestServer_Authorize(t *testing.T) {
	denied := protocol.Errorf(protocol.CodeInsufficientPrivilege, "no backups on weekdays")
	var asked []string
	server := &walsender.Server{Cluster: newMemCluster()}
	server.Authorize = func(_ context.Context, s walsender.Caller, command string) error {
		asked = append(asked, s.User+": "+command)
		if strings.HasPrefix(command, "START_BACKUP") {
			return denied
		}
		return nil
	}
	c := connect(t, serve(t, server), "backup")
	wantAnswer(t, c.query("START_BACKUP"), "ErrorResponse ERROR 42501 no backups on weekdays", ready)
	c.query("FOO")
	got := c.query("SHOW block_size")
	wantAnswer(t, got[len(got)-2:], "CommandComplete SHOW", ready)
	wantAnswer(t, asked, "backup: START_BACKUP", "backup: FOO", "backup: SHOW block_size")
}

// Errors of a Cluster and of the owner that come of contexts of their own do not end the
// session: its context goes on.
func TestSession_4_ForeignContext(t *testing.T) {
	const internal, ready = "ErrorResponse ERROR XX000 internal error of the server, see its log", "ReadyForQuery I"
	cluster := newMemCluster()
	cluster.stopErr = fmt.Errorf("asking the cluster: %w", context.DeadlineExceeded)
	c := connect(t, serve(t, &walsender.Server{Cluster: cluster, Authorize: func(_ context.Context, _ walsender.Caller, command string) error {
		if command == "SHOW block_size" {
			return fmt.Errorf("asking the owner: %w", context.Canceled)
		}
		return nil
	}}), "backup")
	wantAnswer(t, c.query("SHOW block_size"), internal, ready)
	c.query("START_BACKUP")
	wantAnswer(t, c.query("STOP_BACKUP"), internal, ready)
}

func TestServeConn_ContextEndsSession(t *testing.T) {
	server := &walsender.Server{Cluster: newMemCluster()}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.ServeConn(ctx, theirs) }()
	c := newRawClient(t, ours)
	c.startup(map[string]string{"user": "backup", "replication": "true"})
	cancel()
	wantAnswer(t, c.answer(), "ErrorResponse FATAL 57P01 terminating connection due to administrator command", "EOF")
	if err := <-done; err == nil {
		t.Error("ServeConn returned nil")
	}
}
