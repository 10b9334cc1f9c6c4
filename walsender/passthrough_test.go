package walsender_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
)

// passCluster is a cluster whose own walsender is played by the test.
type passCluster struct {
	*memCluster
	dialed  chan *fakeWALSender
	refuse  error
	cancels chan struct{}
}

func newPassCluster() *passCluster {
	return &passCluster{
		memCluster: newMemCluster(),
		dialed:     make(chan *fakeWALSender, 10),
		cancels:    make(chan struct{}, 10),
	}
}

func (c *passCluster) WALAccess() protocol.WALAccess { return protocol.WALStreamed }

func (c *passCluster) PrimaryConnInfo() string { return "host='/run' port=5432" }

func (c *passCluster) DialWALSender(_ context.Context, parameters map[string]string) (*walsender.WALSenderConn, error) {
	if c.refuse != nil {
		return nil, c.refuse
	}
	here, there := net.Pipe()
	c.dialed <- &fakeWALSender{conn: there, in: wire.NewFrameReader(there, 1<<30), parameters: parameters}
	return &walsender.WALSenderConn{Conn: here, Cancel: func(context.Context) error {
		c.cancels <- struct{}{}
		return nil
	}}, nil
}

// fakeWALSender is the far end of a passed-through session.
type fakeWALSender struct {
	t          testing.TB
	conn       net.Conn
	in         *wire.FrameReader
	parameters map[string]string
}

// upstream is the far end of the session that was dialed last.
func (c *passCluster) upstream(t testing.TB) *fakeWALSender {
	t.Helper()
	select {
	case f := <-c.dialed:
		f.t = t
		t.Cleanup(func() { f.conn.Close() })
		must(t, f.conn.SetDeadline(time.Now().Add(patience)))
		return f
	case <-time.After(patience):
		t.Fatal("the server does not dial")
		return nil
	}
}

// expect reads a message and compares it.
func (f *fakeWALSender) expect(kind byte, body string) {
	f.t.Helper()
	got, text, err := f.in.Next()
	must(f.t, err)
	if got != kind || string(text) != body {
		f.t.Fatalf("the upstream gets %c %q (%d bytes), want %c %q (%d bytes)", got, protocol.Shorten(string(text), 64), len(text),
			kind, protocol.Shorten(body, 64), len(body))
	}
}

func (f *fakeWALSender) query(text string) { f.t.Helper(); f.expect('Q', text+"\x00") }

func (f *fakeWALSender) say(messages ...pgproto3.BackendMessage) {
	f.t.Helper()
	var p []byte
	for _, m := range messages {
		var err error
		p, err = m.Encode(p)
		must(f.t, err)
	}
	_, err := f.conn.Write(p)
	must(f.t, err)
}

// goodbye reads the end of the session.
func (f *fakeWALSender) goodbye() {
	f.t.Helper()
	f.expect('X', "")
	f.conn.Close()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	readyForQuery = &pgproto3.ReadyForQuery{TxStatus: 'I'}
	copyBoth      = &pgproto3.CopyBothResponse{}
)

func complete(tag string) *pgproto3.CommandComplete {
	return &pgproto3.CommandComplete{CommandTag: []byte(tag)}
}

// passSession is a session of a server with a passCluster.
func passSession(t testing.TB) (*rawClient, *passCluster) {
	t.Helper()
	cluster := newPassCluster()
	return connect(t, serve(t, &walsender.Server{Cluster: cluster}), "bob"), cluster
}

// TestPassThrough_4_9_Order pipelines commands for both ends: they are answered in
// their order, over one connection.
func TestPassThrough_4_9_Order(t *testing.T) {
	c, cluster := passSession(t)
	c.Send("SHOW a", "LIST_TABLESPACES", "READ_REPLICATION_SLOT s", "show B", "")
	u := cluster.upstream(t)
	if u.parameters["user"] != "bob" {
		t.Errorf("parameters %v", u.parameters)
	}
	u.query("SHOW a")
	u.say(&pgproto3.ParameterStatus{Name: "in_hot_standby", Value: "off"}, complete("SHOW"), readyForQuery)
	u.query("READ_REPLICATION_SLOT s")
	u.say(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42704", Message: "no slot"}, readyForQuery)
	u.query("SHOW b")
	u.say(complete("SHOW"), readyForQuery)
	var got []string
	for range 5 {
		got = append(got, c.answer()...)
	}
	want := []string{
		`ParameterStatus in_hot_standby=off`, "CommandComplete SHOW", "ReadyForQuery I",
		"RowDescription (spcoid oid, spclocation text, size int8)", "DataRow (NULL, NULL, NULL)", "CommandComplete LIST_TABLESPACES", "ReadyForQuery I",
		"ErrorResponse ERROR 42704 no slot", "ReadyForQuery I",
		"CommandComplete SHOW", "ReadyForQuery I",
		"EmptyQueryResponse", "ReadyForQuery I",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	c.Conn.Close()
	u.goodbye()
}

// TestPassThrough_7_1_LargeMessages copies towards the cluster: long messages, which
// are streamed, and one that is too long.
func TestPassThrough_7_1_LargeMessages(t *testing.T) {
	c, cluster := passSession(t)
	c.Send("START_REPLICATION 0/0")
	u := cluster.upstream(t)
	u.query("START_REPLICATION 0/0")
	u.say(copyBoth)
	if got := c.message(); got != "CopyBothResponse" {
		t.Fatalf("message %s", got)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB
	written := make(chan error, 1)
	go func() {
		_, err := c.Conn.Write(copyData(large))
		written <- err
	}()
	u.expect('d', string(large))
	must(t, <-written)

	c.Write([]byte{'d', 0x04, 0, 0, 5}) // 64 MiB and a byte
	if got := c.message(); got != "ErrorResponse FATAL 08P01 message of 67108865 bytes exceeds the maximum of 67108864" {
		t.Errorf("message %s", got)
	}
	u.goodbye()
}

func copyData(payload []byte) []byte {
	message := binary.BigEndian.AppendUint32([]byte{'d'}, uint32(4+len(payload)))
	return append(message, payload...)
}

// TestPassThrough_BackPressure writes to a cluster that does not read: what is taken
// off the peer stays small.
func TestPassThrough_BackPressure(t *testing.T) {
	cluster := newPassCluster()
	server := &walsender.Server{Cluster: cluster}
	here, there := net.Pipe() // holds nothing
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.ServeConn(t.Context(), there) }() // closed below
	defer func() { server.Close(); <-ended }()
	c := newRawClient(t, here)
	c.startup(map[string]string{"user": "bob", "replication": "true"})
	c.Send("START_REPLICATION 0/0")
	u := cluster.upstream(t)
	u.query("START_REPLICATION 0/0")
	u.say(copyBoth)
	c.message()
	must(t, here.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	n, err := here.Write(copyData(make([]byte, 1<<20)))
	if err == nil || n > 256<<10 {
		t.Errorf("%d bytes were taken, %v", n, err)
	}
}

// TestPassThrough_FailedCopy goes on with a session whose copy towards the cluster has
// failed: what the peer sent of it is dropped.
func TestPassThrough_FailedCopy(t *testing.T) {
	c, cluster := passSession(t)
	c.Send("UPLOAD_MANIFEST")
	u := cluster.upstream(t)
	u.query("UPLOAD_MANIFEST")
	u.say(&pgproto3.CopyInResponse{}, &pgproto3.ErrorResponse{Severity: "ERROR", Code: "XX000", Message: "no"}, readyForQuery)
	for _, want := range []string{"CopyInResponse", "ErrorResponse ERROR XX000 no", "ReadyForQuery I"} {
		if got := c.message(); got != want {
			t.Fatalf("message %s, want %s", got, want)
		}
	}
	c.Write(append(copyData(make([]byte, 1<<20)), 'c', 0, 0, 0, 4))
	c.Send("SHOW a")
	u.query("SHOW a")
	u.say(readyForQuery)
	c.answer()
	// Outside of a copy the old limit holds.
	c.Write(copyData(make([]byte, 1<<20)))
	if got := c.message(); !strings.HasPrefix(got, "ErrorResponse FATAL 08P01") {
		t.Errorf("message %s", got)
	}
	u.goodbye()
}

// TestPassThrough_CopyBoth_EndedByCluster goes on with the next command after a copy
// that the cluster ended in the middle of one of the peer's messages.
func TestPassThrough_CopyBoth_EndedByCluster(t *testing.T) {
	c, cluster := passSession(t)
	c.Send("START_REPLICATION 0/0")
	u := cluster.upstream(t)
	u.query("START_REPLICATION 0/0")
	u.say(copyBoth)
	c.message()
	message := copyData([]byte("half and half"))
	c.Write(message[:9])
	got := make([]byte, 9)
	_, err := io.ReadFull(u.conn, got)
	must(t, err)
	u.say(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "XX000", Message: "enough"}, readyForQuery)
	c.answer()
	c.Write(message[9:])
	rest := make([]byte, len(message)-9)
	_, err = io.ReadFull(u.conn, rest)
	must(t, err)
	c.Send("IDENTIFY_SYSTEM")
	u.query("IDENTIFY_SYSTEM")
	u.say(readyForQuery)
	c.answer()
	c.Conn.Close()
	u.goodbye()
}

// TestPassThrough_Cancel hands a CancelRequest on, and waits for what comes of it.
func TestPassThrough_Cancel(t *testing.T) {
	cluster := newPassCluster()
	addr := serve(t, &walsender.Server{Cluster: cluster})
	c := connect(t, addr, "bob")
	c.Send("BASE_BACKUP")
	u := cluster.upstream(t)
	u.query("BASE_BACKUP")
	rawDial(t, addr).Write(wire.CancelRequest{ProcessID: c.Key.ProcessID, SecretKey: c.Key.SecretKey}.Encode(nil))
	<-cluster.cancels
	u.say(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: "canceled"}, readyForQuery)
	if got := c.answer(); len(got) != 2 {
		t.Errorf("answer %q", got)
	}
	if got := c.query("LIST_TABLESPACES"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
	c.Conn.Close()
	u.goodbye()
}

// TestPassThrough_UpstreamLost ends the session with a fatal error where the cluster's
// walsender goes away, whenever that is.
func TestPassThrough_UpstreamLost(t *testing.T) {
	fatal := &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "shut down"}
	const said, unsaid = "ErrorResponse FATAL 57P01 shut down", "ErrorResponse FATAL 08006 the cluster's walsender closed the connection unexpectedly"
	for name, test := range map[string]struct {
		held bool // the connection is idle, with a slot that ends with it
		last []pgproto3.BackendMessage
		cut  []byte
		want []string
	}{
		"idle":                 {held: true, want: []string{unsaid, "EOF"}},
		"idle, last word":      {held: true, last: []pgproto3.BackendMessage{&pgproto3.NoticeResponse{Message: "n"}, fatal}, want: []string{said, "EOF"}},
		"at work":              {want: []string{unsaid, "EOF"}},
		"at work, last word":   {last: []pgproto3.BackendMessage{fatal}, want: []string{said, "EOF"}},
		"inside of a header":   {cut: []byte{'d', 0}, want: []string{unsaid, "EOF"}},
		"inside of a message":  {cut: []byte{'d', 0, 0, 0, 100, 'x'}, want: []string{"EOF"}},
		"end of a copy stream": {last: []pgproto3.BackendMessage{copyBoth, complete("COPY 0")}, want: []string{"CopyBothResponse", "CommandComplete COPY 0", "EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, cluster := passSession(t)
			text := "SHOW a"
			if test.held {
				text = `CREATE_REPLICATION_SLOT "s" TEMPORARY PHYSICAL RESERVE_WAL`
			}
			c.Send(text)
			u := cluster.upstream(t)
			u.query(text)
			if test.held {
				u.say(readyForQuery)
				c.answer()
			}
			u.say(test.last...)
			_, err := u.conn.Write(test.cut)
			must(t, err)
			u.conn.Close()
			var got []string
			for len(got) == 0 || got[len(got)-1] != "EOF" {
				got = append(got, lastMessage(c))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPassThrough_4_9_IdleUpstreamLost loses the connection while it is idle and
// nothing is kept for it: a backup goes on, and the next command gets another.
func TestPassThrough_4_9_IdleUpstreamLost(t *testing.T) {
	c, cluster := passSession(t)
	value(t, c.query("START_BACKUP"), 3)
	for _, text := range []string{
		"IDENTIFY_SYSTEM", "SHOW a", "TIMELINE_HISTORY 2", "READ_REPLICATION_SLOT s", "DROP_REPLICATION_SLOT s", "BASE_BACKUP",
		"START_REPLICATION SLOT s 0/0", `CREATE_REPLICATION_SLOT "TEMPORARY" PHYSICAL`, "START_REPLICATION 0/0",
	} {
		c.Send(text)
		u := cluster.upstream(t)
		u.query(text)
		u.say(complete("DONE"), readyForQuery)
		c.answer()
		u.say(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P05", Message: "idle"})
		u.conn.Close()
	}
	if got := c.query("STOP_BACKUP"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
	// The word may come before the close.
	c.Send("SHOW a")
	u := cluster.upstream(t)
	u.query("SHOW a")
	u.say(readyForQuery)
	c.answer()
	u.say(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "shut down"})
	c.Send("SHOW b")
	again := cluster.upstream(t)
	again.query("SHOW b")
	again.say(readyForQuery)
	c.answer()
	c.Conn.Close()
	again.goodbye()
}

// lastMessage is a message, or EOF also where the connection ends inside of one.
func lastMessage(c *rawClient) string {
	if line := c.Message(); !slices.Contains([]string{"torn", "RST", "timeout"}, line) {
		return line
	}
	return "EOF"
}

// TestPassThrough_1_9_Shutdown ends the server while a command is passed through.
func TestPassThrough_1_9_Shutdown(t *testing.T) {
	cluster := newPassCluster()
	server := &walsender.Server{Cluster: cluster}
	c := connect(t, serve(t, server), "bob")
	c.Send("START_REPLICATION 0/0")
	u := cluster.upstream(t)
	u.query("START_REPLICATION 0/0")
	u.say(copyBoth)
	c.message()
	must(t, server.Shutdown(t.Context()))
	if got := c.message(); got != "ErrorResponse FATAL 57P01 terminating connection due to administrator command" {
		t.Errorf("message %s", got)
	}
	<-cluster.cancels // what PostgreSQL does is given up
}

// TestPassThrough_Refused answers a command whose connection could not be made, and
// tries again for the next; what this server knows, too, it answers by itself where
// PostgreSQL has no room, or nothing is passed through.
func TestPassThrough_Refused(t *testing.T) {
	c, cluster := passSession(t)
	cluster.refuse = protocol.Errorf("53300", "sorry")
	for _, text := range []string{"READ_REPLICATION_SLOT x", "SHOW work_mem", "SHOW max_wal_senders"} {
		if got := c.query(text); got[0] != "ErrorResponse ERROR 53300 sorry" {
			t.Errorf("%s: answer %q", text, got)
		}
	}
	for _, text := range []string{"IDENTIFY_SYSTEM", "SHOW wal_segment_size"} {
		if got := c.query(text); len(got) != 4 {
			t.Errorf("%s: answer %q", text, got)
		}
	}
	cluster.refuse = errors.ErrUnsupported
	if got := c.query("IDENTIFY_SYSTEM"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
	if got := c.query("READ_REPLICATION_SLOT x"); !strings.HasPrefix(got[0], "ErrorResponse ERROR 0A000") {
		t.Errorf("answer %q", got)
	}
	if got := c.query("START_BACKUP BADLY"); !strings.HasPrefix(got[0], "ErrorResponse ERROR 42601") {
		t.Errorf("answer %q", got)
	}
}

// TestRunningBackup_3_5_Lost loses a backup in the cluster: its sessions are told at their
// next command, the leader with the reason.
func TestRunningBackup_3_5_Lost(t *testing.T) {
	cluster := newPassCluster()
	addr := serve(t, &walsender.Server{Cluster: cluster})
	leader, worker := connect(t, addr, "bob"), connect(t, addr, "bob")
	id := value(t, leader.query("START_BACKUP"), 3)
	worker.query("JOIN_BACKUP '" + id + "'")
	cluster.lost <- &protocol.BackupLostError{Detail: "The power went out."}
	const aborted = "ErrorResponse ERROR 55000 backup "
	wait := time.Now().Add(patience)
	for time.Now().Before(wait) {
		if got := worker.query("SEND_FILE ('PG_VERSION')"); strings.HasPrefix(got[0], aborted) {
			break
		}
	}
	if got := leader.query("STOP_BACKUP"); got[0] != aborted+`"`+id[:8]+`" was aborted | detail: The power went out.` {
		t.Errorf("answer %q", got)
	}
	cluster.expect(t, "aborted")
	if got := leader.query("START_BACKUP"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
}

// Logical replication and SQL are refused here, not by PostgreSQL in words about a
// connection that the client did not ask for; physical replication passes either way.
func TestPassThrough_4_9_Logical(t *testing.T) {
	const logical = "ErrorResponse ERROR 0A000 logical replication is not passed through"
	const sql = "ErrorResponse ERROR 0A000 SQL is not passed through"
	for _, asked := range []string{"true", "database"} {
		cluster := newPassCluster()
		c := rawDial(t, serve(t, &walsender.Server{Cluster: cluster}))
		c.startup(map[string]string{"user": "bob", "replication": asked})
		for text, want := range map[string]string{
			"CREATE_REPLICATION_SLOT s LOGICAL test_decoding":               logical,
			`CREATE_REPLICATION_SLOT "s" TEMPORARY LOGICAL "test_decoding"`: logical,
			"START_REPLICATION SLOT s LOGICAL 0/0":                          logical,
			"SELECT pg_catalog.set_config('search_path', '', false)":        sql,
			"(SELECT 1)": sql,
		} {
			if want == sql && asked == "true" {
				continue // PostgreSQL's answer fits
			}
			if got := c.query(text); !strings.HasPrefix(got[0], want+" | hint: Connect to PostgreSQL itself") {
				t.Errorf("%s, %s: answer %q", asked, text, got)
			}
		}
		c.Send("SHOW a")
		u := cluster.upstream(t)
		u.query("SHOW a")
		u.say(readyForQuery)
		c.answer()
		for _, text := range []string{"CREATE_REPLICATION_SLOT logical PHYSICAL", "START_REPLICATION SLOT logical 0/0", `START_REPLICATION SLOT "LOGICAL" PHYSICAL 0/0`} {
			c.Send(text)
			u.query(text)
			u.say(complete("DONE"), readyForQuery)
			c.answer()
		}
	}
}

// What options set and PostgreSQL's walsender is to know gets there; of the rest the client
// is told.
func TestPassThrough_1_4_Options(t *testing.T) {
	cluster := newPassCluster()
	c := rawDial(t, serve(t, &walsender.Server{Cluster: cluster}))
	greeting := c.startup(map[string]string{"user": "bob", "replication": "true", "options": "-c wal_sender_timeout=5s -c search_path=x"})
	if !slices.Contains(greeting, "NoticeResponse WARNING 0A000 options of the connection have no effect: search_path") {
		t.Errorf("greeting %q", greeting)
	}
	c.Send("SHOW a")
	u := cluster.upstream(t)
	if got := u.parameters["wal_sender_timeout"]; got != "5s" {
		t.Errorf("wal_sender_timeout is %q", got)
	}
	u.query("SHOW a")
	u.say(readyForQuery)
	c.answer()
}
