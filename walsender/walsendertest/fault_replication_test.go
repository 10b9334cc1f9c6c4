package walsendertest_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// promoted is a cluster that was shut down on timeline 2, and has kept two slots.
func promoted() *walsendertest.Cluster {
	return &walsendertest.Cluster{
		Sample: walsendertest.Sample{Timeline: 2},
		Slots:  []protocol.ReplicationSlot{{Name: "kept", RestartLSN: 0x100000}, {Name: "logical", Logical: true}},
	}
}

// copyDone is the client's CopyDone.
var copyDone = []byte{'c', 0, 0, 0, 4}

// The sample cluster itself: its WAL, the end of a timeline, its slots (§9.2).
func TestCluster_Replication(t *testing.T) {
	s := walsendertest.NewServer(t, promoted())
	c, _ := connect(t, s)
	c.Send("START_REPLICATION SLOT kept PHYSICAL 0/100000 TIMELINE 1")
	c.Write(copyDone)
	got := c.answer()
	want := []string{"CopyBothResponse", "CopyDone",
		"RowDescription (next_tli int8, next_tli_startpos text)", `DataRow ("2", "0/200000")`,
		"CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I"}
	var others []string
	bytes := 0
	for _, line := range got {
		var n int
		if _, err := fmt.Sscanf(line, "CopyData %d bytes", &n); err != nil {
			others = append(others, line)
		}
		bytes += n
	}
	if diff := cmp.Diff(want, others); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for command, want := range map[string]string{
		"READ_REPLICATION_SLOT kept":                       `DataRow ("physical", "0/100000", "1")`,
		"READ_REPLICATION_SLOT none":                       `DataRow (NULL, NULL, NULL)`,
		"START_REPLICATION SLOT logical PHYSICAL 0/100000": "ErrorResponse ERROR 55000 cannot use a logical replication slot for physical replication",
		"CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL":     `DataRow ("s", "0/0", NULL, NULL)`,
		"CREATE_REPLICATION_SLOT kept TEMPORARY PHYSICAL":  `ErrorResponse ERROR 42710 replication slot "kept" already exists`,
		"START_REPLICATION 0/100000 TIMELINE 3":            "ErrorResponse ERROR XX000 requested timeline 3 is not in this server's history",
	} {
		if got := c.query(command); !slices.Contains(got, want) {
			t.Errorf("%s: %q, without %s", command, got, want)
		}
	}
}

// A sample that runs streams nothing: it has no walsender of its own to stream from.
func TestCluster_ReplicationOfRunning(t *testing.T) {
	c, _ := connect(t, walsendertest.NewServer(t, walsendertest.RunningPrimary()))
	want := "ErrorResponse ERROR 0A000 PostgreSQL's replication commands are not passed through to the running cluster"
	if got := c.query("START_REPLICATION 0/100000"); got[0] != want {
		t.Errorf("the answer is %q", got)
	}
}

// Without keepalives there is the WAL, and then nothing: until the server gives up.
func TestFault_KeepaliveSilence(t *testing.T) {
	serveFault(t, walsendertest.Primary(), walsendertest.KeepaliveSilence(), func(t *testing.T, s *walsendertest.Server) {
		c, _ := connect(t, s)
		began := time.Now()
		got := c.query("START_REPLICATION 0/200000")
		if diff := cmp.Diff([]string{"CopyBothResponse", "CopyData 185 bytes", "EOF"}, got); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		if took := time.Since(began).Round(time.Second); took != time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestFault_SlotGone(t *testing.T) {
	const gone = `ErrorResponse ERROR 42704 replication slot "kept" does not exist`
	serveFault(t, promoted(), walsendertest.SlotGone("kept"), func(t *testing.T, s *walsendertest.Server) {
		c, _ := connect(t, s)
		for command, want := range map[string]string{
			"START_REPLICATION SLOT kept PHYSICAL 0/200000": gone,
			"DROP_REPLICATION_SLOT kept":                    gone,
			"READ_REPLICATION_SLOT kept":                    "DataRow (NULL, NULL, NULL)",
		} {
			got := c.query(command)
			if !slices.Contains(got, want) || got[len(got)-1] != "ReadyForQuery I" {
				t.Errorf("%s: %q", command, got)
			}
		}
	})
}

// A failed START_REPLICATION leaves the server within its copy, which the fault ends.
func TestFault_FailReplication(t *testing.T) {
	serveFault(t, promoted(), walsendertest.FailCommand("START_REPLICATION", 1, failure()), func(t *testing.T, s *walsendertest.Server) {
		c, _ := connect(t, s)
		must(t, c.Conn.SetDeadline(time.Now().Add(10*time.Second))) // before the server asks for a report
		for _, command := range []string{"START_REPLICATION 0/200000", "IDENTIFY_SYSTEM"} {
			if got := c.query(command); got[len(got)-1] != "ReadyForQuery I" {
				t.Errorf("%s: %q", command, got)
			}
		}
	})
}

// The switch as a client meets it that follows a cluster from timeline to timeline.
func TestFault_TimelineSwitch(t *testing.T) {
	serveFault(t, promoted(), walsendertest.TimelineSwitch(), func(t *testing.T, s *walsendertest.Server) {
		c, _ := connect(t, s)
		expect := func(command string, want ...string) {
			t.Helper()
			c.Send(command)
			for i, line := range want {
				if line == "\\CopyDone" {
					c.Write(copyDone)
				} else if got := c.Message(); got != line {
					t.Fatalf("%s: message %d is %q, want %q", command, i, got, line)
				}
			}
		}
		system := "RowDescription (systemid text, timeline int8, xlogpos text, dbname text)"
		expect("IDENTIFY_SYSTEM", system, `DataRow ("7300000000000000001", "1", "0/200000", NULL)`, "CommandComplete IDENTIFY_SYSTEM", "ReadyForQuery I")
		expect("TIMELINE_HISTORY 2", "RowDescription (filename text, content text)", `ErrorResponse ERROR 58P01 could not open file "pg_wal/00000002.history": No such file or directory`, "ReadyForQuery I")
		expect("START_REPLICATION 0/1F0000 TIMELINE 1", "CopyBothResponse", "CopyData 65561 bytes", "CopyDone", `\CopyDone`,
			"RowDescription (next_tli int8, next_tli_startpos text)", `DataRow ("2", "0/200000")`,
			"CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I")
		expect("IDENTIFY_SYSTEM", system, `DataRow ("7300000000000000001", "2", "0/2000A0", NULL)`, "CommandComplete IDENTIFY_SYSTEM", "ReadyForQuery I")
		if got := c.query("TIMELINE_HISTORY 2"); got[len(got)-2] != "CommandComplete TIMELINE_HISTORY" {
			t.Errorf("the history: %q", got)
		}
		expect("START_REPLICATION 0/200000 TIMELINE 2", "CopyBothResponse", "CopyData 185 bytes", "CopyData 18 bytes", `\CopyDone`,
			"CopyDone", "CommandComplete START_STREAMING", "CommandComplete START_REPLICATION", "ReadyForQuery I")
	})
}

// A session of each stock command, with faults, as its transcript has it.
func TestServer_TranscriptOfStockCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &walsendertest.Server{
			Cluster: promoted(), InMemory: true,
			Faults: []walsendertest.Fault{walsendertest.TimelineSwitch(), walsendertest.SlotGone("kept"), walsendertest.CutArchive("base.tar", 3000)},
		}
		server.StartTest(t)
		c, _ := connect(t, server)
		c.query("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL (RESERVE_WAL)")
		c.query("START_REPLICATION SLOT kept PHYSICAL 0/1F0000 TIMELINE 1")
		c.Send("START_REPLICATION SLOT s PHYSICAL 0/1F0000 TIMELINE 1")
		for c.Message() != "CopyDone" {
		}
		c.Write(copyDone)
		c.Answer()
		c.query("BASE_BACKUP (MANIFEST 'yes')")
		synctest.Wait()
		must(t, server.Close())
		golden(t, "testdata/stock.txt", server.Transcript().String())
	})
}
