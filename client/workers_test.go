package client

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

// With --min-jobs a backup goes on with the workers that it got, and not with fewer.
func TestWorkers_5_4_MinJobs(t *testing.T) {
	tooMany := protocol.Fatalf(protocol.CodeTooManyConnections, "number of requested standby connections exceeds max_wal_senders (currently 4)")
	for _, test := range []struct {
		name   string
		script func(f *fake)
		enough bool
	}{
		{"connect", func(f *fake) {
			f.refuse = func(k int) *protocol.Error {
				if k > 3 {
					return tooMany
				}
				return nil
			}
		}, true},
		{"connect, too few", func(f *fake) {
			f.refuse = func(k int) *protocol.Error {
				if k > 2 {
					return tooMany
				}
				return nil
			}
		}, false},
		{"join", func(f *fake) {
			var joined atomic.Int32
			f.query = func(s *fakeSession, command string) bool {
				if !strings.HasPrefix(command, "JOIN_BACKUP") || joined.Add(1) <= 3 {
					return false
				}
				s.fail(protocol.Errorf(protocol.CodeConfigurationLimitExceeded, "no more"))
				return true
			}
		}, true},
		{"lost and not replaced", func(f *fake) {
			f.refuse = func(k int) *protocol.Error {
				if k > 5 {
					return protocol.Fatalf(protocol.CodeInvalidAuthorization, "no more of you")
				}
				return nil
			}
			var lost atomic.Bool
			f.query = func(s *fakeSession, command string) bool {
				if command != someFile || lost.Swap(true) {
					return false
				}
				s.conn.Close()
				return true
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			test.script(f)
			warnings := 0
			o := Options{ConnConfig: f.config(), Jobs: 5, MinJobs: 3, Log: func(e Event) {
				if e.Level == LevelWarning && strings.HasPrefix(e.Message, "going on with ") {
					warnings++
				}
			}}
			if !test.enough {
				f.refuse = func(k int) *protocol.Error {
					if k%6 > 2 {
						return tooMany
					}
					return nil
				}
				expectFailure(t, o, "max_wal_senders")
				return
			}
			o.Dir = filepath.Join(t.TempDir(), "copy")
			_, err := Backup(t.Context(), o)
			must(t, err)
			if warnings != 1 {
				t.Errorf("%d warnings", warnings)
			}
			if read(t, o.Dir, "base/1/16384") != f.files["base/1/16384"] {
				t.Error("the file differs")
			}
		})
	}
}

// The stream of WAL has its connection, and a dry run too, where the server has fewer than
// the workers want: they take what is left.
func TestWorkers_5_4_StreamKeepsItsPlace(t *testing.T) {
	for _, dry := range []bool{false, true} {
		f := newFake(t)
		f.withStream()
		f.refuse = func(k int) *protocol.Error {
			if k > 4 {
				return protocol.Fatalf(protocol.CodeTooManyConnections, "number of requested standby connections exceeds max_wal_senders (currently 5)")
			}
			return nil
		}
		o := Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 12, MinJobs: 3, WAL: WALOptions{Method: WALStream}}
		if !dry {
			_, err := Backup(t.Context(), o)
			must(t, err)
			continue
		}
		plan, err := DryRun(t.Context(), o)
		must(t, err)
		if len(plan.Workers) != 3 {
			t.Errorf("%d workers", len(plan.Workers))
		}
	}
}

// Who is refused for want of connections is told how many are needed, and by whose limit.
func TestWorkers_TooMany_Hint(t *testing.T) {
	f := newFake(t)
	f.withStream()
	f.refuse = func(k int) *protocol.Error {
		if k > 4 {
			return protocol.Fatalf(protocol.CodeTooManyConnections, "number of requested standby connections exceeds max_wal_senders (currently 5)")
		}
		return nil
	}
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Jobs: 4})
	refused, ok := errors.AsType[*protocol.Error](err)
	if want := "needs 6 connections: 4 that copy files, one that leads and one for the write-ahead log."; !ok || !strings.Contains(refused.Hint, want) {
		t.Errorf("error is %v, want the hint %q", err, want)
	}
}

func TestCheckOpenFiles(t *testing.T) {
	for _, test := range []struct {
		jobs, least, limit, want int
		text                     string
	}{
		{8, 0, 1024, 8, ""},
		{198, 0, 1024, 198, ""},
		{1990, 0, 1024, 0, "cannot open 1990 connections: the limit of open files (ulimit -n) is 1024, which is enough for 198"},
		{1990, 8, 1024, 198, ""},
		{1990, 199, 1024, 0, "enough for 198"},
		{4, 1, 20, 0, "enough for 0"},
	} {
		warned := false
		b := &backup{Options: Options{Jobs: test.jobs, MinJobs: test.least}, events: events{log: func(Event) { warned = true }}}
		got, err := b.checkOpenFiles(test.limit)
		if got != test.want || (err != nil) != (test.text != "") || err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: got %d, %v", test, got, err)
		}
		if warned != (err == nil && got < test.jobs) {
			t.Errorf("%+v: warned: %v", test, warned)
		}
	}
	many := &backup{Options: Options{Jobs: 1}, tablespaces: make([]protocol.Tablespace, 150)}
	if _, err := many.checkOpenFiles(128); err == nil || !strings.Contains(err.Error(), "; 187 are needed") {
		t.Errorf("with 150 tablespaces: %v", err)
	}
	if _, err := many.checkOpenFiles(187); err != nil {
		t.Errorf("with 150 tablespaces: %v", err)
	}
	for _, test := range []struct{ limit, jobs, want int }{
		{1024, 1, maxFolders}, {1024, 64, 11}, {1024, 198, 1}, {20000, 198, maxFolders},
	} {
		got := foldersPerWorker(test.limit, test.jobs, 0)
		if got != test.want || otherFiles+test.jobs*(filesPerWorker-1+got) > test.limit {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

// A server that owes an answer and says nothing is not waited for.
func TestTimeout(t *testing.T) {
	for _, silent := range []string{"SHOW", "START_BACKUP", "JOIN_BACKUP", "LIST_FILES", someFile, "STOP_BACKUP", "LIST_WAL_FILES"} {
		t.Run(silent, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.query = func(s *fakeSession, command string) bool {
				if !strings.HasPrefix(command, silent) {
					return false
				}
				for range s.queries { // until the client gives up
				}
				return true
			}
			err := expectFailure(t, Options{ConnConfig: f.config(), Jobs: 2, Timeout: time.Second}, "server has been silent for 1s")
			timeout, ok := errors.AsType[interface {
				error
				Timeout() bool
			}](err)
			if !ok || !timeout.Timeout() {
				t.Errorf("error is %v, no timeout", err)
			}
		})
	}
}

// One that answers in time is; the stream of WAL, which may be idle, is asked to.
func TestTimeout_IdleIsNotSilent(t *testing.T) {
	f := newFake(t)
	f.withStream()
	release := make(chan struct{})
	f.stream.before = func(s *fakeSession) bool {
		for asked := 0; asked < 3; {
			status := <-s.statuses
			if len(status) == 34 && status[33] == 1 {
				s.sendKeepalive()
				asked++
			}
		}
		close(release)
		return true
	}
	f.query = func(s *fakeSession, command string) bool {
		if command == someFile { // the leader is idle meanwhile
			for done := false; !done; {
				s.send(pgwire.NoticeResponse(protocol.Warningf("still there")))
				select {
				case <-release:
					done = true
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
		return false
	}
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Timeout: time.Second})
	must(t, err)
}
