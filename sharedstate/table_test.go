package sharedstate

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
)

var (
	request = Request{Owner: "alice", Label: "nightly", Directory: "/data", MaxRate: 32}
	started = protocol.StartPoint{StartPtr: 0x2000028, Timeline: 3}
)

// start puts a backup into the table that can be joined.
func start(t *testing.T, table *Table) *Backup {
	t.Helper()
	b, err := table.Start(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Started(started, true); err != nil {
		t.Fatal(err)
	}
	return b
}

// sendControl sends what a backup that began in recovery needs before its Stop.
func sendControl(t *testing.T, b *Backup) {
	t.Helper()
	end, err := b.BeginFile(ControlFile)
	expectError(t, err, b, "")
	end(true)
}

// expectError compares an error with its terse form, in which ID stands for the
// shortened id of b. Nothing is expected where want is empty.
func expectError(t *testing.T, err error, b *Backup, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if want != "" {
		want = "ERROR: " + strings.ReplaceAll(want, "ID", b.ID[:8])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestID_3_2(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{32}$`)
	seen := make(map[string]bool)
	for range 1000 {
		id := newID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("bad id %q", id)
		}
		seen[id] = true
	}
}

func TestStart_3_4_Limit(t *testing.T) {
	for configured, limit := range map[int]int{0: 10, -3: 10, 1: 1, 4: 4} {
		table := NewTable(configured)
		var last *Backup
		for range limit {
			b, err := table.Start(request) // a place is taken before the checkpoint
			if err != nil {
				t.Fatal(err)
			}
			last = b
		}
		_, err := table.Start(request)
		if limit == 10 {
			expectError(t, err, last, "too many concurrent backups (max_concurrent_backups is 10) (SQLSTATE 53400)")
		} else if err == nil {
			t.Errorf("a table of %d takes one more", limit)
		}
		last.Abort()
		if _, err := table.Start(request); err != nil {
			t.Errorf("no place in spite of an abort: %v", err)
		}
	}
}

func TestJoin_4_2(t *testing.T) {
	table := NewTable(0)
	starting, err := table.Start(request)
	if err != nil {
		t.Fatal(err)
	}
	running, stopping, over := start(t, table), start(t, table), start(t, table)
	sendControl(t, stopping)
	if err := stopping.Stop(); err != nil {
		t.Fatal(err)
	}
	over.End()

	const unknown = `backup "ID" does not exist (SQLSTATE 42704)`
	for _, c := range []struct {
		name             string
		b                *Backup
		owner, directory string
		want             string
	}{
		{"running", running, "alice", "/data", ""},
		{"other owner", running, "mallory", "/data", unknown},
		{"other owner and directory", running, "mallory", "/other", unknown},
		{"other owner, stopping", stopping, "mallory", "/data", unknown},
		{"other directory", running, "alice", "/other", `backup "ID" is of another data directory (SQLSTATE 55000)`},
		{"starting", starting, "alice", "/data", unknown},
		{"stopping", stopping, "alice", "/data", `backup "ID" is being stopped (SQLSTATE 55000)`},
		{"over", over, "alice", "/data", unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.b.Counters().SessionsJoined
			b, err := table.Join(c.b.ID, c.owner, c.directory)
			expectError(t, err, c.b, c.want)
			if joined := c.b.Counters().SessionsJoined - before; (joined == 1) != (err == nil) {
				t.Errorf("counted %d sessions", joined)
			}
			if (b == c.b) != (err == nil) {
				t.Errorf("Join gave %v", b)
			}
		})
	}

	t.Run("opaque id", func(t *testing.T) {
		for _, id := range []string{"", strings.ToUpper(running.ID), running.ID + " ", running.ID[:8]} {
			if _, err := table.Join(id, "alice", "/data"); err == nil {
				t.Errorf("id %q is accepted", id)
			}
		}
	})
}

func TestStarted(t *testing.T) {
	table := NewTable(0)
	b := start(t, table)
	joined, err := table.Join(b.ID, "alice", "/data")
	if err != nil {
		t.Fatal(err)
	}
	if joined.StartPtr != started.StartPtr || joined.Timeline != started.Timeline || !joined.InRecovery {
		t.Errorf("after Started: %v, timeline %v, in recovery %v", joined.StartPtr, joined.Timeline, joined.InRecovery)
	}
	expectError(t, b.Started(started, true), b, `backup "ID" has already started (SQLSTATE 55000)`)

	aborted, err := table.Start(request)
	if err != nil {
		t.Fatal(err)
	}
	aborted.Abort()
	expectError(t, aborted.Started(started, true), aborted, `backup "ID" was aborted (SQLSTATE 55000)`)
}

func TestStop_3_7(t *testing.T) {
	const (
		notStarted = `backup "ID" has not started yet (SQLSTATE 55000)`
		stopping   = `backup "ID" is being stopped (SQLSTATE 55000)`
	)
	table := NewTable(0)
	b, err := table.Start(request)
	if err != nil {
		t.Fatal(err)
	}
	expectError(t, b.Stop(), b, notStarted)
	_, err = b.BeginFile(DataFile)
	expectError(t, err, b, notStarted)
	if err := b.Started(started, false); err != nil {
		t.Fatal(err)
	}

	endFirst, err := b.BeginFile(DataFile)
	expectError(t, err, b, "")
	endSecond, err := b.BeginFile(DataFile)
	expectError(t, err, b, "")
	expectError(t, b.Stop(), b, `backup "ID" is in use by 2 SEND_FILE commands (SQLSTATE 55006)`)
	endFirst(true)
	endFirst(true)
	expectError(t, b.Stop(), b, `backup "ID" is in use by 1 SEND_FILE command (SQLSTATE 55006)`)
	if _, err := table.Join(b.ID, "alice", "/data"); err != nil {
		t.Errorf("a refused Stop has changed something: %v", err)
	}
	endSecond(false)
	endSecond(true)

	expectError(t, b.Stop(), b, "")
	expectError(t, b.Stop(), b, stopping)
	_, err = b.BeginFile(DataFile)
	expectError(t, err, b, stopping)
	if sent := b.Counters().FilesSent; sent != 1 {
		t.Errorf("%d files count as sent, expected 1", sent)
	}
}

// While pg_control is sent nothing else is, in whichever order two sessions ask.
func TestBeginFile_4_8_ControlFile(t *testing.T) {
	const inUse = `backup "ID" is in use by 1 SEND_FILE command (SQLSTATE 55006)`
	b := start(t, NewTable(0))
	for _, c := range []struct{ first, second FileKind }{
		{DataFile, ControlFile}, {ControlFile, ControlFile}, {ControlFile, DataFile},
	} {
		end, err := b.BeginFile(c.first)
		expectError(t, err, b, "")
		_, err = b.BeginFile(c.second)
		expectError(t, err, b, inUse)
		end(true)
		end, err = b.BeginFile(c.second)
		expectError(t, err, b, "")
		end(true)
	}
}

// A backup that began in recovery needs a pg_control that nothing was sent after.
func TestStop_4_8_ControlFileIsLast(t *testing.T) {
	const stale = `backup "ID" has no global/pg_control yet that was sent after every other file (SQLSTATE 55000)`
	b := start(t, NewTable(0))
	send := func(kind FileKind, sent bool) {
		end, err := b.BeginFile(kind)
		expectError(t, err, b, "")
		end(sent)
	}
	expectError(t, b.Stop(), b, stale)
	send(DataFile, true)
	expectError(t, b.Stop(), b, stale)
	send(ControlFile, false)
	expectError(t, b.Stop(), b, stale)
	send(ControlFile, true)
	send(DataFile, false) // the peer may have a part of it
	expectError(t, b.Stop(), b, stale)
	send(ControlFile, true)
	expectError(t, b.Stop(), b, "")

	primary, err := NewTable(0).Start(request)
	expectError(t, err, primary, "")
	expectError(t, primary.Started(started, false), primary, "")
	expectError(t, primary.Stop(), primary, "")
}

func TestBackup_3_7_Over(t *testing.T) {
	for _, c := range []struct {
		name   string
		finish func(*Backup)
		want   string
	}{
		{"ended", (*Backup).End, `backup "ID" has ended (SQLSTATE 55000)`},
		{"aborted", (*Backup).Abort, `backup "ID" was aborted (SQLSTATE 55000)`},
		{"aborted, then ended", func(b *Backup) { b.Abort(); b.End() }, `backup "ID" was aborted (SQLSTATE 55000)`},
		{"ended, then aborted", func(b *Backup) { b.End(); b.Abort() }, `backup "ID" has ended (SQLSTATE 55000)`},
		{"aborted while stopping", func(b *Backup) { sendControl(t, b); expectError(t, b.Stop(), b, ""); b.Abort() }, `backup "ID" was aborted (SQLSTATE 55000)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := NewTable(0)
			b := start(t, table)
			select {
			case <-b.Done():
				t.Error("done before the end")
			default:
			}
			expectError(t, b.Err(), b, "")
			c.finish(b)
			<-b.Done()
			expectError(t, b.Err(), b, c.want)
			expectError(t, b.Stop(), b, c.want)
			_, err := b.BeginFile(DataFile)
			expectError(t, err, b, c.want)
			expectError(t, b.Throttle(t.Context(), 1), b, c.want)
			if left := table.Backups(); len(left) != 0 {
				t.Errorf("still in the table: %v", left)
			}
		})
	}
}

// An abort wakes whoever sleeps for the rate, at once.
func TestThrottle_3_5_Abort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, NewTable(0))
		begin := time.Now()
		time.AfterFunc(time.Second, b.Abort)
		expectError(t, b.Throttle(t.Context(), 1<<30), b, `backup "ID" was aborted (SQLSTATE 55000)`)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("woke after %v", took)
		}
		want := Counters{Throttled: time.Second}
		if diff := cmp.Diff(want, b.Counters()); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
	})
}

// WAL is sent after the backup too, at the backup's rate.
func TestThrottleWAL_3_9(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, NewTable(0))
		begin := time.Now()
		time.AfterFunc(time.Second, b.End)
		for range 3 {
			if err := b.ThrottleWAL(t.Context(), 32768); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took != 3*time.Second-time.Second/8 {
			t.Errorf("96 kB at 32 kB/s took %v", took)
		}
	})
}

func TestBackups_6_1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(0)
		began := time.Now()
		b := start(t, table)
		for range 2 {
			if _, err := table.Join(b.ID, "alice", "/data"); err != nil {
				t.Fatal(err)
			}
		}
		b.Leave()
		b.SetTotal(123456)
		b.AddChecksumFailures(2)
		b.AddChecksumFailures(1)
		end, err := b.BeginFile(DataFile)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := b.Throttle(t.Context(), 4096); err != nil {
				t.Fatal(err)
			}
		}
		end(true)
		second, err := table.Start(Request{Owner: "bob", Directory: "/data"})
		if err != nil {
			t.Fatal(err)
		}

		want := []Status{
			{
				ID: b.ID[:8], Owner: "alice", Label: "nightly", State: Running, Began: began,
				StartPtr: started.StartPtr, Timeline: started.Timeline, InRecovery: true, MaxRate: 32,
				Counters: Counters{
					BytesSent: 8192, BytesTotal: 123456, FilesSent: 1, SessionsJoined: 2, SessionsLeft: 1,
					ChecksumFailures: 3, Throttled: time.Second / 8,
				},
			},
			{ID: second.ID[:8], Owner: "bob", State: Starting, Began: began.Add(time.Second / 8)},
		}
		if diff := cmp.Diff(want, table.Backups()); diff != "" {
			t.Errorf("backups (-want +got):\n%s", diff)
		}
	})
}

// The rate of a backup is changed by the beginning of its id: by its own role, or by who
// may. Nobody learns of other backups by it.
func TestTable_8_2_SetRate(t *testing.T) {
	table := NewTable(0)
	start := func(owner string) *Backup {
		b, err := table.Start(Request{Owner: owner, MaxRate: 100})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b := start("a"), start("b")
	set := func(prefix, owner string, anybody bool, want string) {
		t.Helper()
		err := table.SetRate(prefix, owner, anybody, 50)
		if got := protocol.HasCode(err, protocol.CodeUndefinedObject); got != (want != "") || !got && err != nil {
			t.Errorf("the rate of %q, by %q: %v", prefix, owner, err)
		}
	}
	set(a.ID[:8], "b", false, protocol.CodeUndefinedObject)
	set(a.ID[:7], "a", false, protocol.CodeUndefinedObject)
	set(a.ID, "a", false, protocol.CodeUndefinedObject)
	set("", "a", true, protocol.CodeUndefinedObject)
	set(a.ID[:8], "a", false, "")
	set(b.ID[:8], "a", true, "")
	for _, b := range []*Backup{a, b} {
		if got := b.Status().MaxRate; got != 50 || !b.HasRate() {
			t.Errorf("the rate is %d, want 50", got)
		}
	}
	table.backups[a.ID[:8]+"0"] = b // an id that begins alike
	set(a.ID[:8], "a", true, protocol.CodeUndefinedObject)
	a.End()
	set(a.ID[:8], "a", false, protocol.CodeUndefinedObject)
}

// The table counts what all backups count, those that are over included.
func TestTable_Counters(t *testing.T) {
	table := NewTable(0)
	first, second := start(t, table), start(t, table)
	for _, b := range []*Backup{first, second} {
		b.SetTotal(1000)
		b.AddSent(100)
		b.AddChecksumFailures(1)
		end, err := b.BeginFile(DataFile)
		if err != nil {
			t.Fatal(err)
		}
		end(true)
	}
	joined, err := table.Join(first.ID, first.Owner, first.Directory)
	if err != nil {
		t.Fatal(err)
	}
	joined.Leave()
	first.Abort()
	first.AddSent(10) // WAL, afterwards
	want := Counters{BytesSent: 210, FilesSent: 2, SessionsJoined: 1, SessionsLeft: 1, ChecksumFailures: 2}
	if diff := cmp.Diff(want, table.Counters()); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}
