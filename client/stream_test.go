package client

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/client/internal/walstream"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

const (
	segment1 = "000000010000000000000001"
	segment2 = "000000010000000000000002"
)

// A server that streams is streamed from: the slot comes behind the checkpoint, the last
// segment is filled up and not marked as archived, and nothing is fetched.
func TestStream_Default(t *testing.T) {
	for _, test := range []struct {
		name  string
		o     Options
		slot  string // the command that makes it
		start string
	}{
		{"temporary slot", Options{}, `CREATE_REPLICATION_SLOT "pgparallel_0" TEMPORARY PHYSICAL RESERVE_WAL`,
			`START_REPLICATION SLOT "pgparallel_0" PHYSICAL 0/100000 TIMELINE 1`},
		{"no slot", Options{WAL: WALOptions{NoSlot: true}}, "", "START_REPLICATION PHYSICAL 0/100000 TIMELINE 1"},
		{"given slot", Options{WAL: WALOptions{Slot: "mine", Method: WALStream}}, "", `START_REPLICATION SLOT "mine" PHYSICAL 0/100000 TIMELINE 1`},
		{"new slot", Options{WAL: WALOptions{Slot: "new", CreateSlot: true}}, `CREATE_REPLICATION_SLOT "new" PHYSICAL RESERVE_WAL`,
			`START_REPLICATION SLOT "new" PHYSICAL 0/100000 TIMELINE 1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.withStream().slots["mine"] = true
			test.o.ConnConfig, test.o.Dir, test.o.Jobs = f.config(), filepath.Join(t.TempDir(), "copy"), 2
			result, err := Backup(t.Context(), test.o)
			must(t, err)
			want := f.wal[segment1][:0x80000] + strings.Repeat("\x00", 0x80000)
			if got := read(t, test.o.Dir, "pg_wal/"+segment1); got != want {
				t.Errorf("the segment has %d bytes, or others", len(got))
			}
			names := namesIn(t, filepath.Join(test.o.Dir, "pg_wal"))
			if diff := cmp.Diff([]string{segment1, "archive_status"}, names); diff != "" {
				t.Error(diff)
			}
			if names := namesIn(t, filepath.Join(test.o.Dir, "pg_wal/archive_status")); len(names) > 0 {
				t.Errorf("the segment that the copy goes on in is marked: %q", names)
			}
			if result.WALFiles != 1 {
				t.Errorf("%d WAL files in the result", result.WALFiles)
			}
			commands := f.commands(-1)
			if slot := slices.Index(commands, test.slot); test.slot != "" &&
				(slot < slices.IndexFunc(commands, isStart) || slot > slices.Index(commands, test.start)) {
				t.Errorf("the slot is not created behind the checkpoint, to be used at once: %q", commands)
			}
			if !slices.Contains(commands, test.start) || slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "LIST_WAL") }) {
				t.Errorf("commands are %q", commands)
			}
			if f.stream.slots["new"] != test.o.WAL.CreateSlot {
				t.Errorf("slots are %v", f.stream.slots)
			}
		})
	}
}

func isStart(command string) bool { return strings.HasPrefix(command, "START_BACKUP") }

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// WAL that spans segments is cut where they end, whatever the messages are.
func TestStream_Segments(t *testing.T) {
	f := newFake(t)
	l := fakeLog(15)
	l.FillTo(0x240000)
	l.FillTo(0x300000)
	f.withWAL(l)
	f.withStream().end = 0x280000
	f.stop.StopPtr = 0x240000
	f.stream.before = func(s *fakeSession) bool {
		all := f.wal[segment1] + f.wal[segment2]
		s.sendWAL(0x100000, all[:0xc0000])
		s.sendWAL(0x1c0000, all[0xc0000:0x180000])
		<-s.copyDone
		s.sendWAL(0x280000, "late") // of no use to anybody
		s.send(copyDoneMessage)
		s.complete()
		return false
	}
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
	must(t, err)
	if read(t, dir, "pg_wal/"+segment1) != f.wal[segment1] {
		t.Error("the first segment differs")
	}
	if want := f.wal[segment2][:0x80000] + strings.Repeat("\x00", 0x80000); read(t, dir, "pg_wal/"+segment2) != want {
		t.Error("the second segment differs")
	}
	if diff := cmp.Diff([]string{segment1 + ".done"}, namesIn(t, filepath.Join(dir, "pg_wal/archive_status"))); diff != "" {
		t.Error(diff)
	}
}

// The stream follows the server to its next timeline, with the history.
func TestStream_Timeline(t *testing.T) {
	const onTwo = "000000020000000000000001"
	f := newFake(t)
	st := f.withStream()
	f.history = "1\t0/140000\tno recovery target specified\n"
	f.withWAL(fakeBranch(15, 0x140000))
	st.switches = map[protocol.Timeline]walstream.Branch{1: {Timeline: 2, Begin: 0x140000}}
	f.stop.StopTimeline = 2
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
	must(t, err)
	names := namesIn(t, filepath.Join(dir, "pg_wal"))
	if diff := cmp.Diff([]string{segment1, "00000002.history", onTwo, "archive_status"}, names); diff != "" {
		t.Error(diff)
	}
	if want := f.wal[segment1][:0x40000] + strings.Repeat("\x00", 0xc0000); read(t, dir, "pg_wal/"+segment1) != want {
		t.Error("the segment of the first timeline differs")
	}
	if want := f.wal[onTwo][:0x80000] + strings.Repeat("\x00", 0x80000); read(t, dir, "pg_wal/"+onTwo) != want {
		t.Error("the segment of the second timeline differs")
	}
	// Nobody writes into the segment of the first timeline any more.
	done := namesIn(t, filepath.Join(dir, "pg_wal/archive_status"))
	if diff := cmp.Diff([]string{segment1 + ".done", "00000002.history.done"}, done); diff != "" {
		t.Error(diff)
	}
	if read(t, dir, "pg_wal/00000002.history") != f.history {
		t.Error("the history differs")
	}
	report, err := Verify(t.Context(), dir, VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
}

// What goes wrong with the stream ends the backup at once, though nobody sends the
// files any more, and leaves no slot behind.
func TestStream_FailsAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		before func(s *fakeSession) bool
		want   string
	}{
		"lost": {func(s *fakeSession) bool { s.conn.Close(); return false }, "server closed the connection unexpectedly"},
		"removed": {func(s *fakeSession) bool {
			s.fail(protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment has already been removed"))
			return false
		}, "already been removed"},
		"gap":       {func(s *fakeSession) bool { s.sendWAL(0x100001, "x"); return false }, "expected 0/100000"},
		"ended":     {func(s *fakeSession) bool { s.send(copyDoneMessage); s.complete(); return false }, "server ended the stream"},
		"violation": {func(s *fakeSession) bool { s.sendFile("x"); return false }, "unexpected"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			st := f.withStream()
			held := make(chan struct{}, 10)
			st.before = func(s *fakeSession) bool {
				<-held // a file is under way
				return test.before(s)
			}
			f.query = func(s *fakeSession, command string) bool {
				if command != someFile {
					return false
				}
				s.sendCopy("half")
				held <- struct{}{}
				for range s.queries { // until the client gives up
				}
				return true
			}
			err := expectFailure(t, Options{ConnConfig: f.config(), WAL: WALOptions{Slot: "mine", CreateSlot: true}}, "could not receive write-ahead log stream: ")
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %s", err, test.want)
			}
			if st.slots["mine"] {
				t.Error("the slot is still there")
			}
		})
	}
}

var copyDoneMessage = &pgproto3.CopyDone{}

func TestStream_Refused(t *testing.T) {
	for _, test := range []struct {
		name   string
		script func(f *fake)
		o      Options
		want   string
		early  bool // before the checkpoint
	}{
		{"other system", func(f *fake) { f.stream.systemID = 8 }, Options{}, "WAL comes from another system", true},
		{"no such slot", func(*fake) {}, Options{WAL: WALOptions{Slot: "nonexistent"}}, `replication slot "nonexistent" does not exist`, true},
		{"slot exists", func(f *fake) { f.stream.slots["old"] = true }, Options{WAL: WALOptions{Slot: "old", CreateSlot: true}}, `replication slot "old" already exists`, true},
		{"no slots left", func(f *fake) { f.failOn("CREATE_REPLICATION_SLOT", protocol.CodeConfigurationLimitExceeded) }, Options{}, "could not create replication slot", false},
		{"no such slot, stopped", func(f *fake) { f.stream = nil }, Options{WAL: WALOptions{Slot: "nonexistent"}}, `could not use replication slot "nonexistent"`, true},
		{"wrong history", func(f *fake) {
			f.stream.switches = map[protocol.Timeline]walstream.Branch{1: {Timeline: 3, Begin: 0x140000}}
		}, Options{}, "unexpected history file name", false},
		{"back to the past", func(f *fake) {
			f.stream.switches = map[protocol.Timeline]walstream.Branch{1: {Timeline: 1, Begin: 0x140000}}
		}, Options{}, "timeline 1 as the next after 1", false},
		{"behind", func(f *fake) { f.start.StartPtr, f.stop.StartPtr = 0x300028, 0x300028 }, Options{}, "it ends at 0/180000, and the backup starts at 0/300028", false},
		{"no end", func(f *fake) { f.stop.StopPtr, f.stop.Label = 0, "" }, Options{}, "server does not say where the backup ends", false},
		{"slots, stopped", func(f *fake) { f.stream = nil }, Options{WAL: WALOptions{Method: WALStream}}, "no PostgreSQL runs to stream write-ahead log", true},
		{"damaged", func(f *fake) { f.wal[segment1] = f.wal[segment1][:0x1000] + "damage" + f.wal[segment1][0x1006:] }, Options{}, "invalid write-ahead log at 0/1008A0: incorrect checksum", false},
		{"a clone's", func(f *fake) { f.withWAL(walrecordtest.New(15, 7, fakeSegment, 1, 0x180000)) }, Options{}, "invalid write-ahead log at 0/100028: invalid record length 0", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.withStream()
			test.script(f)
			test.o.ConnConfig = f.config()
			expectFailure(t, test.o, test.want)
			if n := len(f.commandsWith("START_BACKUP")); (n > 0) == test.early {
				t.Errorf("the backup was started %d times", n)
			}
			if test.name == "slot exists" && !f.stream.slots["old"] {
				t.Error("a slot was dropped that was there before")
			}
		})
	}
}

// A slot that a backup has left which was killed is not told from one that is in use: the
// hint says what there is to do, of a server of any version.
func TestStream_SlotExists_Hint(t *testing.T) {
	for _, version := range []string{"140000", "150000"} {
		f := newFake(t)
		f.withStream()
		f.stream.slots["old"] = true
		f.version = version
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Slot: "old", CreateSlot: true}})
		if refused, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(refused.Hint, "SELECT pg_drop_replication_slot('old')") {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// Where nothing can be streamed, nobody who asked for it gets anything else; everybody is
// warned where nothing keeps the WAL until it is fetched.
func TestStream_Unsupported(t *testing.T) {
	for _, access := range []protocol.WALAccess{protocol.WALKept, protocol.WALTransient} {
		f := newFake(t)
		f.access = access
		var said []Event
		o := Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Log: func(e Event) {
			if e.Level != LevelVerbose {
				said = append(said, e)
			}
		}}
		_, err := Backup(t.Context(), o)
		must(t, err)
		if warned := len(said) == 1 && said[0].Level == LevelWarning && strings.Contains(said[0].Message, "nothing but wal_keep_size keeps it"); warned != (access == protocol.WALTransient) {
			t.Errorf("%s: it is said: %v", access, said)
		}
		if len(f.commandsWith("LIST_WAL_FILES")) == 0 || f.dialed() != 2 {
			t.Errorf("%s: %d connections, %q", access, f.dialed(), f.commands(-1))
		}
		o.WAL.Method = WALStream
		want := map[protocol.WALAccess]string{protocol.WALKept: "no PostgreSQL runs to", protocol.WALTransient: "server does not"}[access]
		err = expectFailure(t, o, want+" stream write-ahead log")
		if refused, ok := errors.AsType[*protocol.Error](err); !ok || refused.Code != protocol.CodeFeatureNotSupported || refused.Hint == "" {
			t.Errorf("%s: error is %#v", access, err)
		}
	}
}

// Where it is the session's rule that keeps WAL from being streamed, the server is not
// blamed.
func TestStream_1_11_Denied(t *testing.T) {
	for code, want := range map[string]string{
		protocol.CodeInsufficientPrivilege: "until then: the role may take backups, but not stream it",
		protocol.CodeFeatureNotSupported:   "until then: server does not stream it",
	} {
		f := newFake(t)
		f.access = protocol.WALTransient
		f.failOn("READ_REPLICATION_SLOT", code)
		told := 0
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Log: func(e Event) {
			if e.Level == LevelWarning && strings.HasSuffix(e.Message, want) {
				told++
			}
		}})
		must(t, err)
		if told != 1 {
			t.Errorf("%s: %q was told %d times", code, want, told)
		}
		want = strings.TrimSuffix(strings.TrimPrefix(want, "until then: "), "it") + "write-ahead log"
		for _, o := range []Options{
			{WAL: WALOptions{Method: WALStream}}, {WAL: WALOptions{Slot: "mine"}}, {WriteRecoveryConf: true, ConnInfo: connInfo(t, "host=/x user=u")},
		} {
			o.ConnConfig = f.config()
			expectFailure(t, o, want)
		}
	}
}

// Whether a server streams is known without asking it anything: what PostgreSQL 13 and 14
// could be asked fails, and is in their log then (B34).
func TestStream_OldServer(t *testing.T) {
	for _, streams := range []bool{false, true} {
		f := newFake(t)
		f.version = "140000"
		f.withWAL(fakeLog(14))
		if streams {
			f.withStream()
		}
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy")})
		must(t, err)
		if n := len(f.commandsWith("START_REPLICATION")); (n == 1) != streams {
			t.Errorf("streamed %d times from a server of which %v", n, streams)
		}
		if len(f.commandsWith("READ_REPLICATION_SLOT"))+len(f.commandsWith("DROP_REPLICATION_SLOT")) > 0 {
			t.Errorf("the server was asked what it does not know: %q", f.commands(-1))
		}
	}
}

// A server that says where the backup ends, and does not send the WAL up to there, is not
// waited for.
func TestStream_StandsStill(t *testing.T) {
	f := newFake(t)
	f.withStream().end = 0x140000
	err := expectFailure(t, Options{ConnConfig: f.config(), walPatience: 50 * time.Millisecond},
		"server has sent no write-ahead log behind 0/140000")
	if !strings.Contains(err.Error(), "0/180000") {
		t.Errorf("error is %v", err)
	}
}

// What is behind the end of a stream is told in the words of who can change it.
func TestStream_Hints(t *testing.T) {
	for _, test := range []struct {
		name, code, want string
		o                Options
	}{
		{"terminated", protocol.CodeAdminShutdown, "max_slot_wal_keep_size", Options{}},
		{"terminated, no slot", protocol.CodeAdminShutdown, "", Options{WAL: WALOptions{NoSlot: true}}},
		{"removed", protocol.CodeUndefinedFile, "max_slot_wal_keep_size", Options{}},
		{"removed, no slot", protocol.CodeUndefinedFile, "wal_keep_size", Options{WAL: WALOptions{NoSlot: true}}},
	} {
		f := newFake(t)
		f.withStream().before = func(s *fakeSession) bool {
			s.send(pgwire.ErrorResponse(protocol.Fatalf(test.code, "the end")))
			s.conn.Close()
			return false
		}
		test.o.ConnConfig = f.config()
		err := expectFailure(t, test.o, "the end")
		if refused, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(refused.Hint, test.want) || test.want == "" && refused.Hint != "" {
			t.Errorf("%s: hint is %q", test.name, refused.Hint)
		}
	}
}

// Whoever asks for a reply gets it, with what has arrived. A slot is moved from the start of
// the stream on, by a flush position that is taken back at once: who has one may be a
// synchronous standby (§5.13).
func TestStream_Status(t *testing.T) {
	for _, test := range []struct {
		name     string
		o        Options
		standbys string
		want     []protocol.LSN // flushed
	}{
		{"slot", Options{}, "", []protocol.LSN{0x100000, 0, 0x200000, 0}},
		{"given slot", Options{WAL: WALOptions{Slot: "mine"}}, "", []protocol.LSN{0x100000, 0, 0x200000, 0}},
		{"no slot", Options{WAL: WALOptions{NoSlot: true}}, "", []protocol.LSN{0, 0}},
		{"slot, synchronous", Options{}, "*", []protocol.LSN{0, 0}},
		{"given slot, synchronous", Options{WAL: WALOptions{Slot: "mine"}}, "*", []protocol.LSN{0x100000, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.standbys = test.standbys
			f.withStream().slots["mine"] = true
			f.stop.StopPtr = 0x200000
			var flushed []protocol.LSN
			f.stream.before = func(s *fakeSession) bool {
				s.sendWAL(0x100000, f.wal[segment1][:0x80000])
				s.sendWAL(0x180000, f.wal[segment1][0x80000:])
				s.sendKeepalive()
				for range test.want {
					status := <-s.statuses
					if len(status) != 34 || status[0] != 'r' {
						t.Errorf("status is %q", status)
						return false
					}
					at := protocol.LSN(binary.BigEndian.Uint64(status[9:]))
					flushed = append(flushed, at)
					written := protocol.LSN(binary.BigEndian.Uint64(status[1:]))
					if last := len(flushed) == len(test.want); written != 0x100000 && written != 0x200000 || last && written != 0x200000 {
						t.Errorf("%v has been written", written)
					}
					since := time.Duration(binary.BigEndian.Uint64(status[25:])) * time.Microsecond
					if now := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).Add(since); time.Since(now).Abs() > time.Minute {
						t.Errorf("the status is of %v", now)
					}
				}
				<-s.copyDone
				s.send(copyDoneMessage)
				s.complete()
				return false
			}
			test.o.ConnConfig, test.o.Dir, test.o.WAL.StatusInterval = f.config(), filepath.Join(t.TempDir(), "copy"), -1
			_, err := Backup(t.Context(), test.o)
			must(t, err)
			if diff := cmp.Diff(test.want, flushed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStream_StatusInterval(t *testing.T) {
	f := newFake(t)
	f.withStream()
	f.stream.before = func(s *fakeSession) bool {
		for range 4 {
			<-s.statuses
		}
		return true
	}
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{StatusInterval: time.Millisecond}})
	must(t, err)
}

func TestStream_Cancel(t *testing.T) {
	f := newFake(t)
	f.withStream()
	ctx, cancel := context.WithCancelCause(t.Context())
	f.stream.before = func(*fakeSession) bool { cancel(errors.New("enough")); return false }
	_, err := Backup(ctx, Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy")})
	if err == nil || err.Error() != "backup was canceled: enough" {
		t.Errorf("error is %v", err)
	}
}
