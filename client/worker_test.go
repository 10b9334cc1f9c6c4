package client

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

const someFile = "SEND_FILE ('base/1/16384')"

// faults are what can happen to a file on its way.
var faults = map[string]func(s *fakeSession){
	"EOF at once":        func(s *fakeSession) { s.conn.Close() },
	"EOF in mid-file":    func(s *fakeSession) { s.sendCopy("half"); s.conn.Close() },
	"EOF in a message":   func(s *fakeSession) { s.sendCopy("half"); s.conn.Write([]byte("d\x00\x00\x10")); s.conn.Close() },
	"EOF after CopyDone": func(s *fakeSession) { s.sendCopy("whole"); s.send(&pgproto3.CopyDone{}); s.conn.Close() },
	"FATAL in mid-file": func(s *fakeSession) {
		s.sendCopy("half")
		s.send(pgwire.ErrorResponse(protocol.Fatalf(protocol.CodeAdminShutdown, "terminating connection due to administrator command")))
		s.conn.Close()
	},
}

func TestWorker_5_5_Lost(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			var lost atomic.Int32
			f.query = func(s *fakeSession, command string) bool {
				if command != someFile || lost.Add(1) > 3 {
					return false
				}
				fault(s)
				return true
			}
			dir := filepath.Join(t.TempDir(), "copy")
			var last Progress
			said := 0
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: 2, Progress: func(p Progress) { last = p }, Log: func(e Event) {
				if strings.HasPrefix(e.Message, "connection was lost and replaced: could not receive file") && e.Level == LevelVerbose {
					said++
				}
			}})
			must(t, err)
			if said != 3 {
				t.Errorf("three lost connections are told %d times", said)
			}
			if got := read(t, dir, "base/1/16384"); got != f.files["base/1/16384"] {
				t.Errorf("the file has %d bytes", len(got))
			}
			if last.Bytes != last.TotalBytes || last.Files != last.TotalFiles || last.Files != int64(len(f.files)) {
				t.Errorf("progress at the end is %+v", last)
			}
			if joined := len(f.commandsWith("JOIN_BACKUP")); joined != 5 || f.dialed() != 6 {
				t.Errorf("%d connections, %d joined the backup; want 6 and 5", f.dialed(), joined)
			}
		})
	}
}

// A file that costs four connections costs the backup.
func TestWorker_5_5_GivesUp(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.query = func(s *fakeSession, command string) bool {
				if command != someFile {
					return false
				}
				fault(s)
				return true
			}
			expectFailure(t, Options{ConnConfig: f.config(), Jobs: 3}, `gave up after 4 attempts: could not receive file "base/1/16384": `)
			if n := len(f.commandsWith(someFile)); n != 2*maxAttempts {
				t.Errorf("%d attempts in two backups", n)
			}
		})
	}
}

// The reason that is told is the first, not what followed from it.
func TestWorker_5_5_NoReplacement(t *testing.T) {
	f := newFake(t)
	f.refuse = func(k int) *protocol.Error {
		if k%3 == 2 {
			return protocol.Fatalf(protocol.CodeInvalidAuthorization, "not any more")
		}
		return nil
	}
	f.query = func(s *fakeSession, command string) bool {
		if command != someFile {
			return false
		}
		s.conn.Close()
		return true
	}
	err := expectFailure(t, Options{ConnConfig: f.config(), Jobs: 1}, `could not receive file "base/1/16384": server closed the connection unexpectedly`)
	if !strings.Contains(err.Error(), "not any more") {
		t.Errorf("error is %v, without the server's refusal", err)
	}
}

// For the server a connection that is lost to us may still have its place.
func TestWorker_5_5_PlaceStillTaken(t *testing.T) {
	f := newFake(t)
	f.refuse = func(k int) *protocol.Error {
		if k == 2 || k == 3 {
			return protocol.Fatalf(protocol.CodeTooManyConnections, "too many")
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
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy")})
	must(t, err)
}

func TestWorker_LostWAL(t *testing.T) {
	f := newFake(t)
	var lost atomic.Bool
	f.query = func(s *fakeSession, command string) bool {
		if !strings.HasPrefix(command, "SEND_FILE ('pg_wal") || lost.Swap(true) {
			return false
		}
		s.sendCopy("half")
		s.conn.Close()
		return true
	}
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir})
	must(t, err)
	if joined := f.commandsWith("JOIN_BACKUP"); len(joined) != 1 {
		t.Errorf("joined a backup that has ended: %q", joined)
	}
}

func TestReceive_Violations(t *testing.T) {
	copyOut, data, done := &pgproto3.CopyOutResponse{}, &pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}
	complete, ready := &pgproto3.CommandComplete{CommandTag: []byte("SEND_FILE")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}
	for name, messages := range map[string][]pgproto3.BackendMessage{
		"nothing":             {ready},
		"no copy":             {complete, ready},
		"no CopyDone":         {copyOut, data, complete, ready},
		"no CommandComplete":  {copyOut, data, done, ready},
		"data after CopyDone": {copyOut, data, done, data, complete, ready},
		"copied twice":        {copyOut, data, done, copyOut, data, done, complete, ready},
		"data at once":        {data, done, complete, ready},
		"a row":               {&pgproto3.DataRow{}, ready},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.query = func(s *fakeSession, command string) bool {
				if command != someFile {
					return false
				}
				s.send(messages...)
				return true
			}
			expectFailure(t, Options{ConnConfig: f.config()}, `could not receive file "base/1/16384": FATAL: `)
		})
	}
}

// An error can come in the middle of a file, and after the last of its bytes.
func TestReceive_ErrorInMidFile(t *testing.T) {
	failure := protocol.Errorf(protocol.CodeIOError, "could not read file")
	for name, answer := range map[string]func(s *fakeSession){
		"half": func(s *fakeSession) { s.sendCopy("half"); s.fail(failure) },
		"late": func(s *fakeSession) { s.sendCopy("whole"); s.send(&pgproto3.CopyDone{}); s.fail(failure) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.query = func(s *fakeSession, command string) bool {
				if command != someFile {
					return false
				}
				answer(s)
				return true
			}
			expectFailure(t, Options{ConnConfig: f.config()}, `could not receive file "base/1/16384": ERROR: could not read file`)
		})
	}
}

// What the server says unasked may come between any two messages.
func TestReceive_Notices(t *testing.T) {
	f := newFake(t)
	f.frame = 100
	f.query = func(s *fakeSession, command string) bool {
		notice := pgwire.NoticeResponse(protocol.Warningf("page verification failed in %s", command))
		status := &pgproto3.ParameterStatus{Name: "in_hot_standby", Value: "off"}
		if command != someFile {
			s.send(notice, status)
			return false
		}
		s.send(notice, &pgproto3.CopyOutResponse{}, status, &pgproto3.CopyData{Data: []byte(f.files["base/1/16384"])}, notice, &pgproto3.CopyDone{}, status)
		s.complete()
		s.send(status, notice)
		return true
	}
	warnings := 0
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: 2, Log: func(e Event) {
		if e.Level == LevelWarning && e.Notice.Code == protocol.CodeWarning {
			warnings++
		}
	}})
	must(t, err)
	if want := len(f.commands(-1)); warnings < want {
		t.Errorf("%d warnings, the server sent more than %d", warnings, want)
	}
}

// A round trip is not paid for each small file: the server that answers none before it
// has been asked for many gets that far, and not without end.
func TestWorker_Pipeline(t *testing.T) {
	f := newFake(t)
	for i := range 2000 {
		f.files[fmt.Sprintf("base/1/%d", 20000+i)] = "x"
	}
	deepest := 0
	f.query = func(s *fakeSession, command string) bool {
		if !strings.HasPrefix(command, "SEND_FILE ('base/1/2") || deepest > 0 {
			return false
		}
		ahead := []string{command}
		for len(ahead) < windowFiles/2 {
			ahead = append(ahead, <-s.queries)
		}
		for _, command := range ahead {
			deepest = max(deepest, len(s.queries)+len(ahead))
			s.answer(command)
		}
		return true
	}
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true})
	must(t, err)
	if deepest < windowFiles/2 || deepest > 2*windowFiles {
		t.Errorf("%d queries ahead", deepest)
	}
}

// A leader that is lost while the workers copy is the reason, whoever notices first.
func TestLeader_Lost(t *testing.T) {
	for name, leave := range map[string]func(s *fakeSession){
		"closed": func(s *fakeSession) { s.conn.Close() },
		"fatal": func(s *fakeSession) {
			s.send(pgwire.ErrorResponse(protocol.Fatalf(protocol.CodeAdminShutdown, "terminating connection due to administrator command")))
			s.conn.Close()
		},
	} {
		for _, told := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, told %v", name, told), func(t *testing.T) {
				f := newFake(t)
				leaders := make(chan *fakeSession, 1)
				f.query = func(s *fakeSession, command string) bool {
					switch {
					case command == "LIST_FILES":
						leaders <- s
					case command == someFile:
						s.sendCopy("half")
						if told {
							s.fail(protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "backup \"00112233\" was aborted"))
						}
						leave(<-leaders)
						for range s.queries { // until the client gives up
						}
						return true
					}
					return false
				}
				expectFailure(t, Options{ConnConfig: f.config(), Jobs: 2}, "could not lead the backup any more: ")
			})
		}
	}
}

// An idle leader that hears something harmless goes on.
func TestLeader_Notice(t *testing.T) {
	f := newFake(t)
	leaders := make(chan *fakeSession, 3) // as many lists as there are (§5.14)
	f.query = func(s *fakeSession, command string) bool {
		switch {
		case command == "LIST_FILES":
			leaders <- s
		case command == someFile:
			leader := <-leaders
			leader.send(pgwire.NoticeResponse(protocol.Warningf("hello")))
			leader.conn.Write([]byte("S\x00\x00\x00\x08a")) // begun only
			s.sendFile(f.files["base/1/16384"])
			leader.conn.Write([]byte("\x00b\x00"))
			return true
		}
		return false
	}
	dir := filepath.Join(t.TempDir(), "copy")
	heard := 0
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Log: func(e Event) {
		if e.Message == "hello" {
			heard++
		}
	}})
	must(t, err)
	if heard != 1 {
		t.Errorf("heard %d times", heard)
	}
}

// The server needs a while to notice that a connection is lost (55006).
func TestBackup_3_7_InUse(t *testing.T) {
	for _, inUse := range []string{"SEND_FILE ('global/pg_control')", "STOP_BACKUP NOWAIT"} {
		f := newFake(t)
		var asked atomic.Int32
		f.query = func(s *fakeSession, command string) bool {
			if command != inUse || asked.Add(1) > 1 {
				return false
			}
			s.fail(protocol.Errorf(protocol.CodeObjectInUse, "a file of the backup is being sent"))
			return true
		}
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy")})
		must(t, err)
		if asked.Load() != 2 {
			t.Errorf("%s was asked %d times", inUse, asked.Load())
		}
	}
}

func (f *fake) commandsWith(prefix string) []string {
	return slices.DeleteFunc(f.commands(-1), func(c string) bool { return !strings.HasPrefix(c, prefix) })
}
