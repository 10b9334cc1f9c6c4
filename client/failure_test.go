package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
)

// ready ends an answer without a CommandComplete.
func (s *fakeSession) ready() { s.send(&pgproto3.ReadyForQuery{TxStatus: 'I'}) }

// failOn answers every command that begins with prefix with an error.
func (f *fake) failOn(prefix, code string) {
	f.query = func(s *fakeSession, command string) bool {
		if !strings.HasPrefix(command, prefix) {
			return false
		}
		s.fail(protocol.Errorf(code, "scripted failure"))
		return true
	}
}

// expectFailure takes a backup that must fail with the text, and leave the target as
// it was: both where it did not exist and where it was empty, with a mode of its own.
func expectFailure(t *testing.T, o Options, text string) error {
	t.Helper()
	var err error
	for _, existed := range []bool{false, true} {
		parent := t.TempDir()
		o.Dir = filepath.Join(parent, "made", "copy")
		if existed {
			must(t, os.MkdirAll(o.Dir, 0o755))
		}
		before := outputtest.Tree(t, parent)
		_, err = Backup(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error is %q, want one with %q", fmt.Sprint(err), text)
		}
		outputtest.SameTree(t, before, parent)
	}
	return err
}

func TestBackup_5_3_ServerFails(t *testing.T) {
	for _, test := range []struct{ command, code, want string }{
		{"SHOW data_directory_mode", protocol.CodeUndefinedObject, "data_directory_mode"},
		{"SHOW wal_segment_size", protocol.CodeUndefinedObject, "wal_segment_size"},
		{"SHOW server_version_num", protocol.CodeUndefinedObject, "server_version_num"},
		{"IDENTIFY_SYSTEM", protocol.CodeInternalError, "could not identify system"},
		{"LIST_TABLESPACES", protocol.CodeInternalError, "could not list tablespaces"},
		{"START_BACKUP", protocol.CodeConfigurationLimitExceeded, "could not initiate base backup"},
		{"JOIN_BACKUP", protocol.CodeUndefinedObject, "could not join backup"},
		{"LIST_FILES", protocol.CodeIOError, "could not list files"},
		{"SEND_FILE ('base/1/16384')", protocol.CodeIOError, `could not receive file "base/1/16384"`},
		{"SEND_FILE ('global/pg_control')", protocol.CodeUndefinedFile, `could not receive file "global/pg_control"`},
		{"STOP_BACKUP", protocol.CodeObjectNotInPrerequisite, "could not stop backup"},
		{"LIST_WAL_FILES", protocol.CodeUndefinedFile, "could not list WAL files"},
		{"SEND_FILE ('pg_wal", protocol.CodeUndefinedFile, "could not receive file \"pg_wal/"},
	} {
		t.Run(test.command, func(t *testing.T) {
			f := newFake(t)
			f.failOn(test.command, test.code)
			err := expectFailure(t, Options{ConnConfig: f.config(), Jobs: 2}, test.want)
			if !protocol.HasCode(err, test.code) {
				t.Errorf("the error of the server is lost: %v", err)
			}
			if n := strings.Count(err.Error(), "scripted failure"); n != 1 {
				t.Errorf("the reason is given %d times: %v", n, err)
			}
		})
	}
}

// The thread's segmentation fault: the server has too few sessions left.
func TestBackup_5_4_TooManyConnections(t *testing.T) {
	for k := range 4 {
		f := newFake(t)
		f.refuse = func(number int) *protocol.Error {
			if number%4 != k && number%4 < k {
				return nil
			}
			return protocol.Fatalf(protocol.CodeTooManyConnections, "number of requested standby connections exceeds max_wal_senders (currently 10)")
		}
		parent := t.TempDir()
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy"), Jobs: 3})
		if err == nil || !strings.Contains(err.Error(), "failed: FATAL: number of requested standby connections") {
			t.Errorf("connection %d refused: error is %v", k, err)
		}
		outputtest.SameTree(t, map[string]string{".": outputtest.Tree(t, parent)["."]}, parent)
		for _, command := range f.commandsWith("START_BACKUP") {
			t.Errorf("connection %d refused: the server was asked %s", k, command)
		}
	}
}

func TestBackup_5_2_Success(t *testing.T) {
	gone := func(paths ...string) func(f *fake) {
		return func(f *fake) {
			f.query = func(s *fakeSession, command string) bool {
				for _, path := range paths {
					if command == sendFile(path) {
						s.fail(protocol.Errorf(protocol.CodeUndefinedFile, "could not open file"))
						return true
					}
				}
				return false
			}
		}
	}
	short := func(path string) func(f *fake) {
		return func(f *fake) {
			f.query = func(s *fakeSession, command string) bool {
				if command != sendFile(path) {
					return false
				}
				s.sendFile("short")
				return true
			}
		}
	}
	for _, test := range []struct {
		name    string
		label   bool
		script  func(f *fake)
		failure string // empty: the backup succeeds
	}{
		{"vanished", true, gone("base/1/16384", "base/1/PG_VERSION"), ""},
		{"vanished, no label", false, gone("base/1/16384"), `file "base/1/16384" has vanished, and there is no recovery`},
		{"PG_VERSION vanished", true, gone("PG_VERSION"), `could not receive file "PG_VERSION"`},
		{"filenode map vanished", true, gone("global/pg_filenode.map"), `could not receive file "global/pg_filenode.map"`},
		{"short", true, short("base/1/16384"), ""},
		{"short, no label", false, short("base/1/16384"), `file "base/1/16384" has shrunk from 8192 bytes to 5, and`},
		{"control file short", true, short("global/pg_control"), `file "global/pg_control" has shrunk from 8192 bytes to 5`},
		{"WAL short", true, short("pg_wal/000000010000000000000001"), "unexpected WAL file size"},
		{"gap at the start", true, func(f *fake) {
			f.start.StartPtr, f.stop.StartPtr, f.stop.Label = 0x1000, 0x1000, fakeLabel(0x1000, 1)
		}, `could not find WAL file "000000010000000000000000"`},
		{"gap at the end", true, func(f *fake) { f.stop.StopPtr = 0x200001 }, `could not find WAL file "000000010000000000000002"`},
		{"another start", true, func(f *fake) { f.stop.StartPtr = 0x100068 }, "was stopped as one that started at 0/100068"},
		{"label that no server reads", true, func(f *fake) { f.stop.Label = "START WAL LOCATION: 0/100028\n" }, `invalid data in file "backup_label"`},
		{"label of another backup", true, func(f *fake) { f.stop.Label = fakeLabel(0x100068, 1) }, "backup label is of another backup"},
		{"label of another timeline", true, func(f *fake) { f.stop.Label = fakeLabel(0x100028, 2) }, "backup label is of another backup"},
		{"no control file", true, func(f *fake) {
			f.listed = func(rows []protocol.File) []protocol.File { return rows[:len(rows)-1] }
		}, `did not list "global/pg_control"`},
		{"grown", true, func(f *fake) {
			f.listed = func(rows []protocol.File) []protocol.File {
				for i := range rows {
					if rows[i].Path == "base/1/16384" {
						rows[i].Size /= 2
					}
				}
				return rows
			}
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.files["base/1/16384"] = strings.Repeat("p", 8192)
			if test.script(f); !test.label {
				f.stop.Label = ""
			}
			if test.failure != "" {
				expectFailure(t, Options{ConnConfig: f.config(), Jobs: 2}, test.failure)
				return
			}
			dir := filepath.Join(t.TempDir(), "copy")
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: 2})
			must(t, err)
			report, err := Verify(t.Context(), dir, VerifyOptions{})
			must(t, err)
			if len(report.Problems) > 0 {
				t.Errorf("problems: %v", report.Problems)
			}
		})
	}
}

func TestBackup_5_9_Rows(t *testing.T) {
	row := func(path string, kind protocol.FileType) protocol.File {
		return protocol.File{Path: path, Type: kind, Size: 1, ModTime: fakeTime}
	}
	for _, test := range []struct {
		row  protocol.File
		want string
	}{
		{row("../evil", 'f'), "invalid file path"},
		{row("base/../../evil", 'f'), "invalid file path"},
		{row("/etc/evil", 'f'), "invalid file path"},
		{row("base//evil", 'f'), "invalid file path"},
		{row("base/./evil", 'f'), "invalid file path"},
		{row("base/", 'd'), "invalid file path"},
		{row("", 'd'), "invalid file path"},
		{row("a\x00b", 'f'), "invalid file path"},
		{row("PG_VERSION", 'f'), `"PG_VERSION" more than once`},
		{row("base", 'f'), `"base" more than once`},
		{row("PG_VERSION", 'd'), `"PG_VERSION" more than once`},
		{row("global/pg_control", 'f'), `"global/pg_control" more than once`},
		{row("absent/file", 'f'), "before the directory that holds it"},
		{row("PG_VERSION/file", 'f'), "before the directory that holds it"},
		{row("pg_tblspc/999", 'l'), "tablespace 999 was created during the backup"},
		{row("base/link", 'l'), "that is none of a tablespace"},
		{row("backup_label", 'f'), "no part of a backup"},
		{row("tablespace_map", 'f'), "no part of a backup"},
		{row("backup_manifest", 'f'), "no part of a backup"},
		{row("global/pg_control.incomplete", 'f'), "no part of a backup"},
	} {
		t.Run(test.row.Path, func(t *testing.T) {
			f := newFake(t)
			f.listed = func(rows []protocol.File) []protocol.File { return append(rows, test.row) }
			expectFailure(t, Options{ConnConfig: f.config()}, test.want)
		})
	}
}

func TestBackup_TargetInUse(t *testing.T) {
	f := newFake(t)
	parent := t.TempDir()
	must(t, os.WriteFile(filepath.Join(parent, "precious"), nil, 0o600))
	before := outputtest.Tree(t, parent)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: parent})
	if want := fmt.Sprintf("directory %q exists but is not empty", parent); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	outputtest.SameTree(t, before, parent)
	if f.dialed() != 0 {
		t.Error("the server was asked all the same")
	}
}

// What fails on this side is told as it is, and once.
func TestBackup_5_3_LocalFailure(t *testing.T) {
	f := newFake(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "copy")
	before := outputtest.Tree(t, parent)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Jobs: 2, step: func(name string) {
		if name == "copy files" {
			os.Remove(filepath.Join(dir, "base/1"))
		}
	}})
	if err == nil || err.Error() != `could not open directory "base/1": no such file or directory` {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, parent)
}

func TestBackup_NoClean(t *testing.T) {
	f := newFake(t)
	f.failOn("STOP_BACKUP", protocol.CodeInternalError)
	dir := filepath.Join(t.TempDir(), "copy")
	if _, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, NoClean: true}); err == nil {
		t.Fatal("no error")
	}
	left := outputtest.Tree(t, dir)
	if left[output.ControlFileHeld] == "" || left[output.ControlFile] != "" {
		t.Errorf("left behind: %v", left)
	}
}

func TestBackup_UnknownServer(t *testing.T) {
	for _, code := range []string{protocol.CodeFeatureNotSupported, protocol.CodeSyntaxError, protocol.CodeInternalError} {
		f := newFake(t)
		f.stock = true
		f.failOn("LIST_TABLESPACES", code)
		err := expectFailure(t, Options{ConnConfig: f.config(), Jobs: 5}, "server does not support parallel base backups")
		if e, ok := errors.AsType[*protocol.Error](err); !ok || !strings.Contains(e.Hint, "pg_basebackup") || !strings.HasSuffix(e.Hint, "(its default port is 5433).") {
			t.Errorf("no hint in %v", err)
		}
		if f.dialed() != 2 {
			t.Errorf("%d connections for two attempts", f.dialed())
		}
	}
}

// Every step can be the one in which the user gives up.
func TestBackup_Cancel(t *testing.T) {
	for _, name := range stepNames(t) {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			parent := t.TempDir()
			before := outputtest.Tree(t, parent)
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := Backup(ctx, Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "a/b"), step: func(step string) {
				if step == name {
					cancel(errors.New("received signal"))
				}
			}})
			if err == nil || err.Error() != "backup was canceled: received signal" {
				t.Errorf("error is %v", err)
			}
			outputtest.SameTree(t, before, parent)
		})
	}
}

// A command that takes long is left at once.
func TestBackup_CancelWhileWaiting(t *testing.T) {
	for _, silent := range []string{"SHOW", "START_BACKUP", "JOIN_BACKUP", "LIST_FILES", "SEND_FILE ('base/1/16384')", "SEND_FILE ('global/pg_control')", "STOP_BACKUP", "SEND_FILE ('pg_wal"} {
		t.Run(silent, func(t *testing.T) {
			f := newFake(t)
			ctx, cancel := context.WithCancel(t.Context())
			f.query = func(_ *fakeSession, command string) bool {
				if strings.HasPrefix(command, silent) {
					cancel()
					return true
				}
				return false
			}
			parent := t.TempDir()
			before := outputtest.Tree(t, parent)
			_, err := Backup(ctx, Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy"), Jobs: 2})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
			outputtest.SameTree(t, before, parent)
		})
	}
}

// stepNames are the steps of a backup.
func stepNames(t *testing.T) []string {
	t.Helper()
	f := newFake(t)
	var names []string
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), step: func(name string) { names = append(names, name) }})
	must(t, err)
	return names
}
