package walsendertest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

const (
	big     = "base/5/20000" // of 20 pages: a message of 128 KiB and one of 32
	other   = "base/5/20001"
	sendBig = "SEND_FILE ('" + big + "')"
)

func failure() *protocol.Error { return protocol.Errorf(protocol.CodeIOError, "disk on fire") }

func fatal() *protocol.Error { return protocol.Fatalf(protocol.CodeAdminShutdown, "going down") }

// Each fault, as one session sees it that leads a backup and sends a command.
func TestFault(t *testing.T) {
	const (
		wrote  = "CopyData 131072 bytes"
		rest   = "CopyData 32768 bytes"
		burned = "ErrorResponse ERROR 58030 disk on fire"
		ready  = "ReadyForQuery I"
	)
	for _, tt := range []struct {
		fault   walsendertest.Fault
		command string
		want    []string
		took    time.Duration
	}{
		{fault: walsendertest.Stall(big, 1000), command: sendBig,
			want: []string{"CopyOutResponse", "CopyData 1000 bytes", "timeout"}, took: 2 * time.Hour},
		{fault: walsendertest.Pause(big, 131072, time.Hour), command: sendBig,
			want: []string{"CopyOutResponse", wrote, rest, "CopyDone", "CommandComplete SEND_FILE", ready}, took: time.Hour},
		{fault: walsendertest.Drip(big, 65536, time.Second), command: sendBig,
			want: []string{"CopyOutResponse", "CopyData 65536 bytes (2 times)", rest, "CopyDone", "CommandComplete SEND_FILE", ready}, took: 3 * time.Second},
		{fault: walsendertest.CutFile(big, 0), command: sendBig,
			want: []string{"CopyOutResponse", "torn"}},
		{fault: walsendertest.CutFile(big, 131073), command: sendBig,
			want: []string{"CopyOutResponse", wrote, "torn"}},
		{fault: walsendertest.EOFWithoutCopyDone(big), command: sendBig,
			want: []string{"CopyOutResponse", wrote, rest, "EOF"}},
		{fault: walsendertest.ErrorInFile(big, 8192, failure()), command: sendBig,
			want: []string{"CopyOutResponse", "CopyData 8192 bytes", burned, ready}},
		{fault: walsendertest.ErrorInFile(big, 0, fatal()), command: sendBig,
			want: []string{"CopyOutResponse", "ErrorResponse FATAL 57P01 going down", "EOF"}},
		{fault: walsendertest.ErrorAfterCopyDone(big, failure()), command: sendBig,
			want: []string{"CopyOutResponse", wrote, rest, "CopyDone", burned, ready}},
		{fault: walsendertest.LeaderLost(big, 131072), command: sendBig,
			want: []string{"CopyOutResponse", wrote, "EOF"}},
		{fault: walsendertest.FailCommand("SEND_FILE", 1, failure()), command: sendBig,
			want: []string{burned, ready}},
		{fault: walsendertest.CutCommand("LIST_TABLESPACES", 1), command: "LIST_TABLESPACES",
			want: []string{"EOF"}},
		{fault: walsendertest.Frames(50000), command: sendBig,
			want: []string{"CopyOutResponse", "CopyData 50000 bytes (3 times)", "CopyData 13840 bytes", "CopyDone", "CommandComplete SEND_FILE", ready}},
		{fault: walsendertest.Frames(1 << 20), command: sendBig,
			want: []string{"CopyOutResponse", "CopyData 163840 bytes", "CopyDone", "CommandComplete SEND_FILE", ready}},
		{fault: walsendertest.Frames(1), command: "SEND_FILE ('PG_VERSION')",
			want: []string{"CopyOutResponse", "CopyData 1 bytes (3 times)", "CopyDone", "CommandComplete SEND_FILE", ready}},
		{fault: walsendertest.Notices(), command: "JOIN_BACKUP 'x'",
			want: []string{"NoticeResponse NOTICE 00000 a notice may come at any time",
				"ErrorResponse ERROR 55000 a backup is already in progress in this session",
				"NoticeResponse NOTICE 00000 a notice may come at any time", ready}},
		{fault: walsendertest.UnknownParameter(), command: ";",
			want: []string{"ParameterStatus walsendertest.unknown=1", "EmptyQueryResponse", "ParameterStatus walsendertest.unknown=1", ready}},
		{fault: walsendertest.LateNotices(), command: "SEND_FILE ('base/1/20000')", // has a damaged page
			want: []string{"CopyOutResponse", wrote, rest, "CopyDone", "CommandComplete SEND_FILE",
				`NoticeResponse WARNING 01000 checksum verification failed in file "./base/1/20000", block 2: calculated 75E1 but expected 6E6A`, ready}},
		{fault: walsendertest.Vanished(big), command: sendBig,
			want: []string{`ErrorResponse ERROR 58P01 could not open file "base/5/20000": No such file or directory`, ready}},
		{fault: walsendertest.ShortFile(big, 100), command: sendBig,
			want: []string{"CopyOutResponse", "CopyData 100 bytes", "CopyDone", "CommandComplete SEND_FILE", ready}},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &walsendertest.Server{Cluster: damaged(), InMemory: true, Faults: []walsendertest.Fault{tt.fault}}
				server.StartTest(t)
				session := leader(t, server)
				began := time.Now()
				got := session.query(tt.command)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
				if took := time.Since(began).Truncate(time.Second); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// damaged is a small running cluster in which one page is damaged.
func damaged() *walsendertest.Cluster {
	c := walsendertest.RunningPrimary()
	c.Sample.RelationPages = 20
	c.Sample.DamagedPages = []walsendertest.DamagedPage{{Path: "base/1/20000", Block: 2}}
	return c
}

// serveFault serves in a bubble. The fault is to happen.
func serveFault(t *testing.T, cluster walsender.Cluster, fault walsendertest.Fault, test func(t *testing.T, s *walsendertest.Server)) {
	t.Run(fault.String(), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := &walsendertest.Server{Cluster: cluster, InMemory: true, Faults: []walsendertest.Fault{fault}}
			server.StartTest(t)
			test(t, server)
		})
	})
}

func TestFault_RefuseConnection(t *testing.T) {
	for how, want := range map[walsendertest.Refusal][]string{
		walsendertest.TooManySenders: {"ErrorResponse FATAL 53300 number of requested standby connections exceeds max_wal_senders (currently 10)", "EOF"},
		walsendertest.StartingUp:     {"ErrorResponse FATAL 57P03 the database system is starting up", "EOF"},
		walsendertest.PlainClose:     {"EOF"},
	} {
		serveFault(t, nil, walsendertest.RefuseConnection(2, how), func(t *testing.T, s *walsendertest.Server) {
			for k := 1; k <= 3; k++ {
				_, got := connect(t, s)
				if k == 2 && !cmp.Equal(want, got) || k != 2 && got[len(got)-1] != "ReadyForQuery I" {
					t.Errorf("connection %d was greeted with %q", k, got)
				}
			}
		})
	}
}

// A session is cut after exactly as many bytes as are named, wherever that is.
func TestFault_CutAfter(t *testing.T) {
	for _, n := range []int64{0, 1, 5, 9, 100, 400} {
		serveFault(t, nil, walsendertest.CutAfter(1, n), func(t *testing.T, s *walsendertest.Server) {
			c := dial(t, s)
			counted := &countingConn{Conn: c.Conn}
			got := talk(t, counted).startup()
			if last := got[len(got)-1]; last != "torn" && last != "EOF" || counted.read != n {
				t.Errorf("%d bytes came, then %s", counted.read, last)
			}
		})
	}
}

// A reset reaches a client in memory and one over TCP.
func TestFault_Reset(t *testing.T) {
	for _, fault := range []walsendertest.Fault{walsendertest.ResetFile(big, 100), walsendertest.ResetAfter(1, 20_000)} {
		serveFault(t, nil, fault, func(t *testing.T, s *walsendertest.Server) {
			expectReset(t, s)
		})
		t.Run(fault.String()+" over TCP", func(t *testing.T) {
			expectReset(t, walsendertest.NewServer(t, nil, fault))
		})
	}
}

func expectReset(t *testing.T, s *walsendertest.Server) {
	t.Helper()
	got := leader(t, s).query(sendBig)
	if last := got[len(got)-1]; last != "RST" {
		t.Errorf("the answer is %q", got)
	}
}

// The server's row is right, what comes behind it says otherwise (§4.3).
func TestFault_AtStop(t *testing.T) {
	for _, tt := range []struct {
		fault walsendertest.Fault
		want  string
	}{
		{walsendertest.LateErrorAtStop(failure()), "RowDescription DataRow CommandComplete ErrorResponse ReadyForQuery"},
		{walsendertest.LateErrorAtStop(fatal()), "RowDescription DataRow CommandComplete ErrorResponse EOF"},
		{walsendertest.StopFails(failure()), "ErrorResponse ReadyForQuery"},
	} {
		cluster := walsendertest.RunningPrimary()
		serveFault(t, cluster, tt.fault, func(t *testing.T, s *walsendertest.Server) {
			if got := kinds(leader(t, s).query("STOP_BACKUP")); got != tt.want {
				t.Errorf("the answer is %s, want %s", got, tt.want)
			}
			if n := cluster.Backups(); n != 0 {
				t.Errorf("%d backups run", n)
			}
		})
	}
}

// kinds are the first words of an answer.
func kinds(answer []string) string {
	var words []string
	for _, line := range answer {
		word, _, _ := strings.Cut(line, " ")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestFault_WrongID(t *testing.T) {
	serveFault(t, nil, walsendertest.WrongID(), func(t *testing.T, s *walsendertest.Server) {
		lead := leader(t, s)
		worker, _ := connect(t, s)
		if got := worker.query(fmt.Sprintf("JOIN_BACKUP '%s'", lead.id)); !strings.Contains(got[0], "42704") {
			t.Errorf("joining %s: %q", lead.id, got)
		}
	})
}

func TestFault_Promotion(t *testing.T) {
	serveFault(t, walsendertest.Standby(), walsendertest.Promotion(big), func(t *testing.T, s *walsendertest.Server) {
		lead := leader(t, s)
		for _, tt := range []struct{ path, want string }{
			{other, "CopyOutResponse"}, {big, "CopyOutResponse"},
			{other, "ErrorResponse ERROR 55000 the standby was promoted during online backup"},
		} {
			if got := lead.query("SEND_FILE ('" + tt.path + "')"); !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("%s: %q", tt.path, got)
			}
		}
	})
}

// The leader is lost while another session sends: the backup is aborted (§3.5).
func TestFault_LeaderLost(t *testing.T) {
	cluster := walsendertest.RunningPrimary()
	cluster.Sample.Files = []walsendertest.SampleFile{{Path: "base/5/90000", Size: 1 << 30}}
	serveFault(t, cluster, walsendertest.LeaderLost("base/5/90000", 1<<20), func(t *testing.T, s *walsendertest.Server) {
		lead := leader(t, s)
		worker, _ := connect(t, s)
		worker.query(fmt.Sprintf("JOIN_BACKUP '%s'", lead.id))
		got := worker.query("SEND_FILE ('base/5/90000') NOVERIFY_CHECKSUMS")
		if last := got[len(got)-2]; !strings.HasPrefix(last, "ErrorResponse ERROR 55000") {
			t.Errorf("the worker was told %q", got)
		}
		if got := lead.answer(); got[0] != "EOF" {
			t.Errorf("the leader was told %q", got)
		}
	})
}

type listingTest struct {
	fault   walsendertest.Fault
	command string
	row     string // a part of a row
	count   int    // how many rows have it
	unused  bool   // the fault happens where its tablespace is asked for, not here
}

func TestFault_Listings(t *testing.T) {
	hostile := protocol.File{Path: "../../etc/passwd", Type: protocol.TypeFile, ModTime: time.Unix(0, 0)}
	cluster := walsendertest.RunningPrimary()
	cluster.Sample.Tablespaces = []walsendertest.SampleTablespace{{OID: 16500, Location: "/srv/space"}}
	for _, tt := range []listingTest{
		{walsendertest.Unlisted("global/pg_control"), "LIST_FILES", `"global/pg_control"`, 0, false},
		{walsendertest.Unlisted("pg_wal/000000010000000000000002"), "LIST_WAL_FILES", `"pg_wal/000000010000000000000002"`, 0, false},
		{walsendertest.ListedTwice("PG_VERSION"), "LIST_FILES", `"PG_VERSION"`, 2, false},
		{walsendertest.GrownFile("PG_VERSION", 2), "LIST_FILES", `"PG_VERSION", "f", "1"`, 1, false},
		{walsendertest.ListedRow("", hostile), "LIST_FILES", `"../../etc/passwd"`, 1, false},
		{walsendertest.ListedRow("16500", hostile), "LIST_FILES '16500'", `"../../etc/passwd"`, 1, false},
		{walsendertest.TablespaceDropped(16500), "LIST_FILES", `"pg_tblspc/16500"`, 0, true},
		{walsendertest.TablespaceDropped(16500), "LIST_FILES '/srv/space'", `42704`, 1, false},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testListing(t, cluster.Sample, tt) })
		})
	}
}

func testListing(t *testing.T, sample walsendertest.Sample, tt listingTest) {
	s := &walsendertest.Server{Cluster: &walsendertest.Cluster{Sample: sample}, InMemory: true, AllowUnused: tt.unused, Faults: []walsendertest.Fault{tt.fault}}
	s.StartTest(t)
	got := strings.Join(leader(t, s).query(tt.command), "\n")
	want := strings.Count(got, tt.row)
	if doubled := strings.Contains(got, tt.row) && strings.Contains(got, "(2 times)"); doubled {
		want++
	}
	if want != tt.count {
		t.Errorf("%v: %s is there %d times, want %d, in\n%s", tt.fault, tt.row, want, tt.count, got)
	}
	if last := got[:strings.LastIndex(got, "\nCommandComplete")+1]; tt.command == "LIST_FILES" && tt.count > 0 &&
		!strings.HasPrefix(last[strings.LastIndex(strings.TrimSpace(last), "\n")+1:], `DataRow ("global/pg_control"`) {
		t.Error("pg_control is not the last row")
	}
}

func TestFault_TablespaceAppears(t *testing.T) {
	cluster := walsendertest.RunningPrimary()
	cluster.Sample.Tablespaces = []walsendertest.SampleTablespace{{OID: 16500}, {OID: 16600}}
	serveFault(t, cluster, walsendertest.TablespaceAppears(16555, "/srv/new"), func(t *testing.T, s *walsendertest.Server) {
		lead := leader(t, s)
		if got := lead.query("LIST_TABLESPACES"); len(got) != 6 {
			t.Errorf("before: %q", got)
		}
		lead.query("STOP_BACKUP")
		if got := lead.query("LIST_TABLESPACES"); len(got) != 7 || !strings.Contains(got[2], `"/srv/new"`) {
			t.Errorf("after: %q", got)
		}
	})
}

// A fault happens once, n times, or always.
func TestFault_Times(t *testing.T) {
	vanishing := walsendertest.FailCommand("SEND_FILE", 1, failure())
	for _, tt := range []struct {
		fault walsendertest.Fault
		want  string
	}{
		{walsendertest.ErrorAfterCopyDone("PG_VERSION", failure()), "E..."},
		{walsendertest.ErrorAfterCopyDone("PG_VERSION", failure()).Times(2), "EE.."},
		{walsendertest.ErrorAfterCopyDone("PG_VERSION", failure()).Times(0), "EEEE"},
		{vanishing, "E..."},
	} {
		serveFault(t, nil, tt.fault, func(t *testing.T, s *walsendertest.Server) {
			lead, got := leader(t, s), ""
			for range 4 {
				mark := "."
				if strings.Contains(kinds(lead.query("SEND_FILE ('PG_VERSION')")), "ErrorResponse") {
					mark = "E"
				}
				got += mark
			}
			if got != tt.want {
				t.Errorf("it happened %s, want %s", got, tt.want)
			}
		})
	}
}

// Faults stack: each gets what the one before it passes on.
func TestFault_Together(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{InMemory: true, Faults: []walsendertest.Fault{
			walsendertest.Frames(1000), walsendertest.Notices(), walsendertest.CutFile(big, 2500), walsendertest.Vanished(other),
		}}
		server.StartTest(t)
		lead := leader(t, server)
		if got := kinds(lead.query("SEND_FILE ('" + other + "')")); got != "NoticeResponse ErrorResponse NoticeResponse ReadyForQuery" {
			t.Errorf("of the vanished file: %s", got)
		}
		got := lead.query(sendBig)
		if want := "NoticeResponse CopyOutResponse NoticeResponse CopyData NoticeResponse CopyData NoticeResponse torn"; kinds(got) != want {
			t.Errorf("of the cut file: %s, want %s", kinds(got), want)
		}
	})
}
