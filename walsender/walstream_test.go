package walsender_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

const walSegment = 1 << 20

// walCluster is a stopped cluster in memory with WAL on two timelines: the second begins at
// fork, in the middle of a segment, and ends at end.
type walCluster struct {
	*memCluster
	files     fstest.MapFS
	old, new  *walrecordtest.Log
	fork, end protocol.LSN
	slot      protocol.ReplicationSlot // that the cluster keeps

	mu     sync.Mutex
	system protocol.System
	broken error // of CheckBackup
}

func newWALCluster() *walCluster {
	c := &walCluster{memCluster: newMemCluster(), files: fstest.MapFS{}}
	c.old = walrecordtest.New(15, 42, walSegment, 1, 0x100028)
	c.old.FillTo(0x240100)
	c.fork = c.old.End()
	c.new = c.old.Branch(2)
	c.new.FillTo(0x3501F8)
	c.end = c.new.End()
	c.old.FillTo(0x2A0000) // that nobody followed
	for at := protocol.LSN(0x100000); at < c.end; at += walSegment {
		if at < c.old.End() {
			c.put(1, c.old, at)
		}
		if at >= 0x200000 {
			c.put(2, c.new, at)
		}
	}
	c.files["pg_wal/00000002.history"] = &fstest.MapFile{Data: fmt.Appendf(nil, "1\t%v\tno recovery target specified\n", c.fork)}
	c.system = protocol.System{SystemID: 42, Timeline: 2, XLogPos: c.end}
	c.slot = protocol.ReplicationSlot{Name: "kept", RestartLSN: 0x200000}
	return c
}

func (c *walCluster) put(tli protocol.Timeline, l *walrecordtest.Log, at protocol.LSN) {
	c.files["pg_wal/"+protocol.WALFileName(tli, at, walSegment)] = &fstest.MapFile{Data: []byte(l.Segment(at))}
}

// wal is what one log has of a range.
func wal(l *walrecordtest.Log, from, to protocol.LSN) []byte {
	var all []byte
	for at := from - from%walSegment; at < to; at += walSegment {
		all = append(all, l.Segment(at)...)
	}
	return all[from%walSegment:][:to-from]
}

func (c *walCluster) Settings(ctx context.Context) (protocol.Settings, error) {
	s, err := c.memCluster.Settings(ctx)
	s.WALSegmentSize = walSegment
	return s, err
}

func (c *walCluster) Identify(context.Context) (protocol.System, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.system, nil
}

func (c *walCluster) CheckBackup(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *walCluster) Open(_ context.Context, name string, _ protocol.OpenOptions) (fs.File, error) {
	return c.files.Open(name)
}

func (c *walCluster) WALFiles(context.Context, protocol.LSN, protocol.LSN) iter.Seq2[protocol.File, error] {
	return func(func(protocol.File, error) bool) {}
}

func (c *walCluster) TimelineHistory(_ context.Context, tli protocol.Timeline) (protocol.HistoryFile, error) {
	f := c.files["pg_wal/"+protocol.HistoryFileName(tli)]
	if f == nil {
		return protocol.HistoryFile{}, fs.ErrNotExist
	}
	return protocol.HistoryFile{Name: protocol.HistoryFileName(tli), Content: f.Data}, nil
}

func (c *walCluster) ReplicationSlot(_ context.Context, name string) (protocol.ReplicationSlot, error) {
	if name != c.slot.Name {
		return protocol.ReplicationSlot{}, fs.ErrNotExist
	}
	return c.slot, nil
}

var _ walsender.SlotReader = (*walCluster)(nil)

// streamClient reads the copy of a START_REPLICATION.
type streamClient struct {
	*rawClient
	at  protocol.LSN // where the next WAL must begin
	wal []byte
}

// next takes a message: it collects WAL, and returns what is none. A keepalive is
// "keepalive" and the position, with "?" where an answer is wanted.
func (c *streamClient) next() string {
	c.t.Helper()
	for {
		kind, body, err := c.Next()
		if err != nil {
			return "EOF"
		}
		switch {
		case kind == 'W':
			return "CopyBothResponse"
		case kind == 'c':
			return "CopyDone"
		case kind != 'd':
			return fmt.Sprintf("%c %q", kind, body)
		case body[0] == 'k':
			return fmt.Sprintf("keepalive %v%s", protocol.LSN(binary.BigEndian.Uint64(body[1:])), []string{"", "?"}[body[17]])
		}
		if begin := protocol.LSN(binary.BigEndian.Uint64(body[1:])); begin != c.at {
			c.t.Fatalf("WAL of %v, want that of %v", begin, c.at)
		}
		data := body[25:]
		if len(data) > 128<<10 || len(data) == 0 {
			c.t.Errorf("a message has %d bytes of WAL", len(data))
		}
		c.wal = append(c.wal, data...)
		c.at += protocol.LSN(len(data))
	}
}

// expect takes a message that must be this one.
func (c *streamClient) expect(want string) {
	c.t.Helper()
	if got := c.next(); got != want {
		c.t.Fatalf("message %s, want %s", got, want)
	}
}

// start starts to stream.
func start(c *rawClient, at protocol.LSN, command string) *streamClient {
	c.Send(command)
	return &streamClient{rawClient: c, at: at}
}

// status sends a report.
func (c *streamClient) status(flushed protocol.LSN, reply byte) {
	body := append([]byte{'d', 0, 0, 0, 4 + 34, 'r'}, make([]byte, 33)...)
	binary.BigEndian.PutUint64(body[6+8:], uint64(flushed))
	body[len(body)-1] = reply
	c.Write(body)
}

func (c *streamClient) done() { c.Write([]byte{'c', 0, 0, 0, 4}) }

// want compares what has arrived.
func (c *streamClient) want(l *walrecordtest.Log, from, to protocol.LSN) {
	c.t.Helper()
	if !bytes.Equal(c.wal, wal(l, from, to)) {
		c.t.Errorf("%d bytes of WAL from %v on, want the %d up to %v", len(c.wal), from, to-from, to)
	}
}

// The WAL arrives from wherever it is asked for up to the end, and nothing behind it.
func TestStartReplication_9_2(t *testing.T) {
	c := newWALCluster()
	addr := serve(t, &walsender.Server{Cluster: c})
	for _, from := range []protocol.LSN{0x200000, 0x200028, c.fork, c.fork + 8, 0x2FFFF8, 0x300000, c.end - 1} {
		s := start(connect(t, addr, "backup"), from, fmt.Sprintf("START_REPLICATION PHYSICAL %v", from))
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		s.want(c.new, from, c.end)
		s.status(c.end, 0)
		s.status(c.end, 1)
		s.expect("keepalive " + c.end.String())
		s.Write(append([]byte{'d', 0, 0, 0, 4 + 25, 'h'}, make([]byte, 24)...))
		s.done()
		wantAnswer(t, s.answer(), "CopyDone", "CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I")
		if got := s.query("SHOW wal_segment_size"); len(got) != 4 { // the session goes on
			t.Errorf("answer %q", got)
		}
	}
}

// Commands that are sent behind a stream are answered behind it, and a CopyDone that has
// come already ends it at once.
func TestStartReplication_9_2_Pipelined(t *testing.T) {
	c := connect(t, serve(t, &walsender.Server{Cluster: newWALCluster()}), "backup")
	c.Send("START_REPLICATION 0/200000")
	c.Write([]byte{'c', 0, 0, 0, 4})
	c.Send("IDENTIFY_SYSTEM")
	for {
		if line := c.message(); !strings.HasPrefix(line, "CopyBothResponse") && !strings.HasPrefix(line, "CopyData ") {
			if line != "CopyDone" {
				t.Errorf("message %s", line)
			}
			break
		}
	}
	wantAnswer(t, c.answer(), "CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I")
	if got := c.answer(); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
}

// An older timeline is sent to where it was left, and what comes next is told.
func TestStartReplication_9_2_Timelines(t *testing.T) {
	c := newWALCluster()
	addr := serve(t, &walsender.Server{Cluster: c})
	next := []string{"RowDescription (next_tli int8, next_tli_startpos text)", fmt.Sprintf(`DataRow ("2", "%v")`, c.fork)}
	end := []string{"CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I"}

	s := start(connect(t, addr, "backup"), 0x100000, "START_REPLICATION 0/100000 TIMELINE 1")
	s.expect("CopyBothResponse")
	s.expect("CopyDone")
	s.want(c.old, 0x100000, c.fork)
	s.status(c.fork, 1)
	s.expect("keepalive " + c.fork.String())
	s.done()
	wantAnswer(t, s.answer(), slices.Concat(next, end)...)

	// Its last segment may be there as the first of the next timeline only.
	delete(c.files, "pg_wal/000000010000000000000002")
	s = start(s.rawClient, 0x100000, "START_REPLICATION 0/100000 TIMELINE 1")
	s.expect("CopyBothResponse")
	s.expect("CopyDone")
	s.want(c.new, 0x100000, c.fork)
	s.done()
	wantAnswer(t, s.answer(), slices.Concat(next, end)...)

	raw := s.rawClient
	wantAnswer(t, raw.query(fmt.Sprintf("START_REPLICATION %v TIMELINE 1", c.fork)), slices.Concat(next, end)...)
	for command, want := range map[string][]string{
		fmt.Sprintf("START_REPLICATION %v TIMELINE 1", c.fork+1): {
			fmt.Sprintf("ErrorResponse ERROR XX000 requested starting point %v on timeline 1 is not in this server's history | detail: This server's history forked from timeline 1 at %v.", c.fork+1, c.fork)},
		"START_REPLICATION 0/0 TIMELINE 3":        {"ErrorResponse ERROR XX000 requested timeline 3 is not in this server's history"},
		"START_REPLICATION 0/400000":              {"CopyBothResponse", fmt.Sprintf("ErrorResponse ERROR XX000 requested starting point 0/400000 is ahead of the WAL flush position of this server %v", c.end)},
		"START_REPLICATION 0/100000":              {"CopyBothResponse", "ErrorResponse ERROR 58P01 requested WAL segment 000000020000000000000001 has already been removed"},
		"START_REPLICATION SLOT s LOGICAL 0/0":    {"ErrorResponse ERROR 0A000 logical replication is not served | hint: Connect to PostgreSQL itself: this server is for backups and physical replication."},
		"CREATE_REPLICATION_SLOT s LOGICAL x":     {"ErrorResponse ERROR 0A000 logical replication is not served | hint: Connect to PostgreSQL itself: this server is for backups and physical replication."},
		"START_REPLICATION SLOT nosuch 0/0":       {`ErrorResponse ERROR 42704 replication slot "nosuch" does not exist`},
		"START_REPLICATION SLOT \"../x\" 0/0":     {`ErrorResponse ERROR 42704 replication slot "../x" does not exist`},
		"START_REPLICATION SLOT \"../x\" 0/0 FOO": {`ErrorResponse ERROR 42601 syntax error at or near "FOO" | position: 35`},
	} {
		wantAnswer(t, raw.query(command), append(want, "ReadyForQuery I")...)
	}
}

// inBubble runs a test with a session over a connection in memory, where the time is
// virtual.
func inBubble(t *testing.T, server *walsender.Server, test func(t *testing.T, c *rawClient)) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { // ends with the connection
			defer close(done)
			_ = server.ServeConn(context.Background(), theirs) // the test looks at what is said
		}()
		c := &rawClient{walsendertest.NewRawClient(t, ours), t}
		greeting := c.startup(map[string]string{"user": "backup", "replication": "true"})
		if last := greeting[len(greeting)-1]; last != "ReadyForQuery I" {
			t.Fatalf("greeting ends with %s", last)
		}
		test(t, c)
		ours.Close()
		<-done
		server.Close()
	})
}

// A peer that says nothing is asked after half of wal_sender_timeout, and given up without
// a word after all of it.
func TestStartReplication_7_1_SenderTimeout(t *testing.T) {
	c := newWALCluster()
	inBubble(t, &walsender.Server{Cluster: c, SenderTimeout: time.Minute}, func(t *testing.T, raw *rawClient) {
		s := start(raw, 0x300000, "START_REPLICATION 0/300000")
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		began := time.Now()
		for range 3 {
			s.expect("keepalive " + c.end.String() + "?")
			s.status(c.end, 0)
			synctest.Wait()
		}
		if waited := time.Since(began); waited != 90*time.Second {
			t.Errorf("asked three times in %v", waited)
		}
		s.expect("keepalive " + c.end.String() + "?")
		began = time.Now()
		s.expect("EOF")
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("given up %v later", waited)
		}
	})
	inBubble(t, &walsender.Server{Cluster: c, SenderTimeout: -1}, func(t *testing.T, raw *rawClient) {
		s := start(raw, 0x300000, "START_REPLICATION 0/300000")
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		time.Sleep(24 * time.Hour) // of virtual time
		s.done()
		s.expect("CopyDone")
		s.answer()
	})
}

// A cluster that is started while its WAL is streamed ends the stream. One that was started
// and stopped again has more WAL.
func TestStartReplication_9_2_ClusterChanges(t *testing.T) {
	c := newWALCluster()
	known := c.new.Branch(2)
	known.FillTo(0x360000)
	inBubble(t, &walsender.Server{Cluster: c, SenderTimeout: -1}, func(t *testing.T, raw *rawClient) {
		s := start(raw, 0x300000, "START_REPLICATION 0/300000")
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		synctest.Wait()
		c.put(2, known, 0x300000)
		c.mu.Lock()
		c.system.XLogPos = known.End()
		c.mu.Unlock()
		s.expect("keepalive " + known.End().String())
		s.want(known, 0x300000, known.End())
		c.mu.Lock()
		c.broken = protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the cluster is running")
		c.mu.Unlock()
		wantAnswer(t, s.answer(), "ErrorResponse ERROR 55000 the cluster is running", "ReadyForQuery I")
		s.done() // the client's end of the copy comes late
		wantAnswer(t, s.query("START_REPLICATION 0/300000"), "ErrorResponse ERROR 55000 the cluster is running", "ReadyForQuery I")
	})
	// It was promoted meanwhile: what is streamed is an older timeline now.
	c = newWALCluster()
	inBubble(t, &walsender.Server{Cluster: c, SenderTimeout: -1}, func(t *testing.T, raw *rawClient) {
		s := start(raw, 0x300000, "START_REPLICATION 0/300000")
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		synctest.Wait()
		c.mu.Lock()
		c.files["pg_wal/00000003.history"] = &fstest.MapFile{Data: fmt.Appendf(nil, "1\t%v\tx\n2\t%v\tx\n", c.fork, c.end)}
		c.system.Timeline, c.system.XLogPos = 3, c.end+0x100
		c.mu.Unlock()
		s.expect("CopyDone")
		s.done()
		wantAnswer(t, s.answer(), "RowDescription (next_tli int8, next_tli_startpos text)", fmt.Sprintf(`DataRow ("3", "%v")`, c.end),
			"CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I")
	})
}

// What no standby says ends the session.
func TestStartReplication_9_2_Violations(t *testing.T) {
	c := newWALCluster()
	addr := serve(t, &walsender.Server{Cluster: c})
	for message, want := range map[string]string{
		"Q\x00\x00\x00\x05\x00":    `invalid standby message type "Q"`,
		"f\x00\x00\x00\x05\x00":    `invalid standby message type "f"`,
		"d\x00\x00\x00\x05z":       `unexpected message type "z"`,
		"d\x7f\xff\xff\xff":        "message of 2147483643 bytes exceeds the maximum of 16385",
		"\x00\x00\x00\x00\x05\x00": `invalid standby message type "\x00"`,
	} {
		s := start(connect(t, addr, "backup"), c.end, fmt.Sprintf("START_REPLICATION %v", c.end))
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		s.Write([]byte(message))
		wantAnswer(t, s.answer(), "ErrorResponse FATAL 08P01 "+want, "EOF")
	}
	s := start(connect(t, addr, "backup"), c.end, fmt.Sprintf("START_REPLICATION %v", c.end))
	for message, want := range map[string]string{
		"d\x00\x00\x00\x04":     "no data left in message",
		"d\x00\x00\x00\x08r123": "insufficient data left in message",
		"d\x00\x00\x00\x08h123": "insufficient data left in message",
	} { // these end the copy only
		s.expect("CopyBothResponse")
		s.expect("keepalive " + c.end.String())
		s.Write([]byte(message))
		wantAnswer(t, s.answer(), "ErrorResponse ERROR 08P01 "+want, "ReadyForQuery I")
		s = start(s.rawClient, c.end, fmt.Sprintf("START_REPLICATION %v", c.end))
	}
	s.expect("CopyBothResponse")
	s.expect("keepalive " + c.end.String())
	s.Write([]byte("X\x00\x00\x00\x04")) // goodbye
	s.expect("EOF")
}

// A stream is cancelled and shut down as any command is.
func TestStartReplication_1_3_Cancel(t *testing.T) {
	c := newWALCluster()
	server := &walsender.Server{Cluster: c}
	addr := serve(t, server)
	s := start(connect(t, addr, "backup"), 0x300000, "START_REPLICATION 0/300000")
	s.expect("CopyBothResponse")
	s.expect("keepalive " + c.end.String())
	rawDial(t, addr).Write(wire.CancelRequest{ProcessID: s.Key.ProcessID, SecretKey: s.Key.SecretKey}.Encode(nil))
	wantAnswer(t, s.answer(), "ErrorResponse ERROR 57014 canceling statement due to user request", "ReadyForQuery I")
	s = start(s.rawClient, 0x300000, "START_REPLICATION 0/300000")
	s.expect("CopyBothResponse")
	s.expect("keepalive " + c.end.String())
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, s.answer(), "ErrorResponse FATAL 57P01 terminating connection due to administrator command", "EOF")
}

// A slot is its session's, is moved by reports, and goes with the session or with a command
// that fails.
func TestReplicationSlot_9_2(t *testing.T) {
	c := newWALCluster()
	addr := serve(t, &walsender.Server{Cluster: c})
	a, b := connect(t, addr, "backup"), connect(t, addr, "backup")
	read := func(name, want string) {
		t.Helper()
		if got := a.query("READ_REPLICATION_SLOT " + name); got[1] != "DataRow ("+want+")" {
			t.Errorf("slot %s: %q, want %s", name, got, want)
		}
	}
	const none = "NULL, NULL, NULL"
	a.query("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL")
	read("s", `"physical", NULL, NULL`)
	wantAnswer(t, b.query("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL"), `ErrorResponse ERROR 42710 replication slot "s" already exists`, "ReadyForQuery I")
	active := fmt.Sprintf(`ErrorResponse ERROR 55006 replication slot "s" is active for PID %d`, a.Key.ProcessID)
	wantAnswer(t, b.query("START_REPLICATION SLOT s 0/300000"), active, "ReadyForQuery I")
	wantAnswer(t, b.query("DROP_REPLICATION_SLOT s"), active, "ReadyForQuery I")
	s := start(a, 0x300000, "START_REPLICATION SLOT s 0/300000")
	s.expect("CopyBothResponse")
	s.expect("keepalive " + c.end.String())
	s.status(0, 0)
	s.status(0x210000, 0)
	s.done()
	s.expect("CopyDone")
	s.answer()
	read("s", `"physical", "0/210000", "1"`)
	a.query("SHOW nosuch")
	read("s", none)

	a.query("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL RESERVE_WAL")
	read("s", fmt.Sprintf(`"physical", "%v", "2"`, c.end))
	b.Send("DROP_REPLICATION_SLOT s WAIT")
	a.Conn.Close()
	wantAnswer(t, b.answer(), `ErrorResponse ERROR 42704 replication slot "s" does not exist`, "ReadyForQuery I")

	a = connect(t, addr, "backup")
	wantAnswer(t, b.query("DROP_REPLICATION_SLOT s"), `ErrorResponse ERROR 42704 replication slot "s" does not exist`, "ReadyForQuery I")
	for n := range 10 {
		a.query(fmt.Sprintf("CREATE_REPLICATION_SLOT s%d TEMPORARY PHYSICAL", n))
	}
	got := b.query("CREATE_REPLICATION_SLOT more TEMPORARY PHYSICAL")
	if !strings.HasPrefix(got[0], "ErrorResponse ERROR 53400 all replication slots are in use") {
		t.Errorf("one slot too many: %q", got)
	}
	wantAnswer(t, a.query("DROP_REPLICATION_SLOT s1"), "CommandComplete DROP_REPLICATION_SLOT", "ReadyForQuery I")
}

// A slot that the cluster keeps can be used, by one session at a time, and stays.
func TestReplicationSlot_9_2_Kept(t *testing.T) {
	c := newWALCluster()
	addr := serve(t, &walsender.Server{Cluster: c})
	a, b := connect(t, addr, "backup"), connect(t, addr, "backup")
	const row = `DataRow ("physical", "0/200000", "1")`
	if got := b.query("READ_REPLICATION_SLOT kept"); got[1] != row {
		t.Errorf("slot: %q", got)
	}
	s := start(a, 0x300000, "START_REPLICATION SLOT kept 0/300000")
	s.expect("CopyBothResponse")
	s.expect("keepalive " + c.end.String())
	s.status(0x300000, 1)
	s.expect("keepalive " + c.end.String())
	wantAnswer(t, b.query("START_REPLICATION SLOT kept 0/300000"), fmt.Sprintf(`ErrorResponse ERROR 55006 replication slot "kept" is active for PID %d`, a.Key.ProcessID), "ReadyForQuery I")
	s.done()
	s.expect("CopyDone")
	s.answer()
	if got := b.query("READ_REPLICATION_SLOT kept"); got[1] != row {
		t.Errorf("slot: %q", got)
	}
	wantAnswer(t, b.query("CREATE_REPLICATION_SLOT kept TEMPORARY PHYSICAL"), `ErrorResponse ERROR 42710 replication slot "kept" already exists`, "ReadyForQuery I")
	wantAnswer(t, b.query("DROP_REPLICATION_SLOT kept"), `ErrorResponse ERROR 55000 cannot drop replication slot "kept" of a cluster that does not run | hint: Drop it once PostgreSQL runs.`, "ReadyForQuery I")
	c.slot.Invalidated = true
	wantAnswer(t, b.query("START_REPLICATION SLOT kept 0/300000"), `ErrorResponse ERROR 55000 can no longer access replication slot "kept"`, "ReadyForQuery I")
	c.slot.Logical = true
	wantAnswer(t, b.query("START_REPLICATION SLOT kept 0/300000"), "ErrorResponse ERROR 55000 cannot use a logical replication slot for physical replication", "ReadyForQuery I")
	wantAnswer(t, b.query("READ_REPLICATION_SLOT kept"), "ErrorResponse ERROR 0A000 cannot use READ_REPLICATION_SLOT with a logical replication slot", "ReadyForQuery I")
}

// oldCluster is one of PostgreSQL 14.
type oldCluster struct{ *walCluster }

func (c oldCluster) Settings(ctx context.Context) (protocol.Settings, error) {
	s, err := c.walCluster.Settings(ctx)
	s.ServerVersion, s.ServerVersionNum = "14.0", 140000
	return s, err
}

func TestReplicationSlot_9_2_Before15(t *testing.T) {
	c := connect(t, serve(t, &walsender.Server{Cluster: oldCluster{newWALCluster()}}), "backup")
	wantAnswer(t, c.query("READ_REPLICATION_SLOT s"), `ErrorResponse ERROR 0A000 unrecognized replication command "READ_REPLICATION_SLOT"`, "ReadyForQuery I")
	wantAnswer(t, c.query("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL (RESERVE_WAL)"), `ErrorResponse ERROR 42601 syntax error at or near "("`, "ReadyForQuery I")
	if got := c.query("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL RESERVE_WAL"); len(got) != 4 {
		t.Errorf("answer %q", got)
	}
}

// A cluster without WAL streams none, and one that runs is PostgreSQL's to stream.
func TestStartReplication_9_2_NotServed(t *testing.T) {
	for _, test := range []struct {
		cluster walsender.Cluster
		want    string
	}{
		{newMemCluster(), "this server has no write-ahead log to stream"},
		{walsendertest.RunningPrimary(), "PostgreSQL's replication commands are not passed through to the running cluster"},
	} {
		c := connect(t, serve(t, &walsender.Server{Cluster: test.cluster}), "backup")
		for _, command := range []string{"START_REPLICATION 0/0", "CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL", "READ_REPLICATION_SLOT s", "DROP_REPLICATION_SLOT s"} {
			wantAnswer(t, c.query(command), "ErrorResponse ERROR 0A000 "+test.want, "ReadyForQuery I")
		}
	}
}
