package client

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
)

// contentOf is a file of a backup of the fake's cluster, in any format.
func contentOf(t *testing.T, dir string, o Options, path string) string {
	t.Helper()
	if o.Archive == nil {
		return read(t, dir, path)
	}
	return outputtest.Archive(t, dir, "base")[path]
}

// A file that WAL replay does not mend is in the backup as it was at the moment of
// sending: whole, and never cut or filled up.
func TestBackup_5_2_ChangedFile(t *testing.T) {
	for name, o := range formats() {
		for _, path := range []string{"postgresql.auto.conf", "pg_hba.conf", "pg_logical/replorigin_checkpoint", "base/1/PG_VERSION", "pg_twophase/000002DB", "server.key"} {
			for _, now := range []string{"", "less", "much more than there was"} {
				t.Run(fmt.Sprintf("%s %s %q", name, path, now), func(t *testing.T) {
					t.Parallel()
					f := newFake(t)
					f.files[path] = now
					f.listed = func(rows []protocol.File) []protocol.File {
						for i := range rows {
							if rows[i].Path == path {
								rows[i].Size = 12
							}
						}
						return rows
					}
					dir := filepath.Join(t.TempDir(), "copy")
					o := o
					o.ConnConfig, o.Dir, o.Jobs, o.WAL.Method = f.config(), dir, 2, WALFetch
					_, err := Backup(t.Context(), o)
					must(t, err)
					if got := contentOf(t, dir, o, path); got != now {
						t.Errorf("content is %q, want %q", got, now)
					}
					if line := fmt.Sprintf(`"Path": %q, "Size": %d, `, path, len(now)); !strings.Contains(read(t, dir, output.ManifestFile), line) {
						t.Errorf("no %s in the manifest", line)
					}
				})
			}
		}
	}
}

// A file that never stops changing fails the backup, after some attempts; so does one
// that every cluster has, if it stays away. What comes back is in the backup.
func TestBackup_5_2_KeepsChanging(t *testing.T) {
	gone := protocol.Errorf(protocol.CodeUndefinedFile, "could not open file: No such file or directory")
	for _, test := range []struct {
		name    string
		changes int // answers that differ
		answer  func(s *fakeSession, attempt int)
		failure string
	}{
		{"grows twice", 2, func(s *fakeSession, attempt int) { s.sendFile(strings.Repeat("x", attempt)) }, ""},
		{"grows for ever", 1 << 10, func(s *fakeSession, attempt int) { s.sendFile(strings.Repeat("x", attempt)) },
			`gave up after 6 attempts: file "postgresql.conf" has grown`},
		{"is away", 2, func(s *fakeSession, _ int) { s.fail(gone) }, ""},
		{"is gone", 1 << 10, func(s *fakeSession, _ int) { s.fail(gone) }, `gave up after 6 attempts: could not receive file "postgresql.conf"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			var mu sync.Mutex
			attempts := 0
			f.query = func(s *fakeSession, command string) bool {
				if command != sendFile("postgresql.conf") {
					return false
				}
				mu.Lock()
				attempts++
				attempt := attempts
				mu.Unlock()
				if attempt > test.changes {
					return false
				}
				test.answer(s, attempt)
				return true
			}
			o := Options{ConnConfig: f.config(), Jobs: 2, Archive: &ArchiveOptions{}}
			if test.failure != "" {
				expectFailure(t, o, test.failure)
				return
			}
			o.Dir = filepath.Join(t.TempDir(), "copy")
			_, err := Backup(t.Context(), o)
			must(t, err)
			if got := contentOf(t, o.Dir, o, "postgresql.conf"); got != f.files["postgresql.conf"] {
				t.Errorf("content is %q", got)
			}
		})
	}
}

// A large file that is on its way to where nothing can be taken back from fails the
// backup when it changes.
func TestTar_5_2_ChangedFileToOutput(t *testing.T) {
	f := newFake(t)
	f.frame = 64 << 10
	f.files["pg_stat/extension.stat"] = strings.Repeat("s", largeMember+5)
	f.query = func(s *fakeSession, command string) bool {
		if command != sendFile("pg_stat/extension.stat") {
			return false
		}
		s.sendFile(f.files["pg_stat/extension.stat"][1:])
		return true
	}
	var out bytes.Buffer
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Archive: &ArchiveOptions{Output: &out}})
	if err == nil || !strings.Contains(err.Error(), "has shrunk") || !strings.Contains(err.Error(), "cannot be taken back") {
		t.Errorf("error is %v", err)
	}
	if asked := f.commandsWith(sendFile("pg_stat/extension.stat")); len(asked) != 1 {
		t.Errorf("it was asked for %d times", len(asked))
	}
}

// Without a label, foreign files may change and vanish, which is told, and nothing else
// may.
func TestBackup_5_2_ForeignFiles(t *testing.T) {
	for name, o := range formats() {
		for _, path := range []string{"log/a.log", "notes.txt", "core.4711", "base/1/16384", "pg_xact/0000", "global/1260", "base/1/PG_VERSION"} {
			for _, fault := range []string{"gone", "shorter", "longer"} {
				t.Run(name+" "+path+" "+fault, func(t *testing.T) {
					t.Parallel()
					f := newFake(t)
					f.stop.Label = ""
					f.files[path] = strings.Repeat("line\n", 100)
					f.query = func(s *fakeSession, command string) bool {
						switch {
						case command != sendFile(path):
							return false
						case fault == "gone":
							s.fail(protocol.Errorf(protocol.CodeUndefinedFile, "could not open file"))
						case fault == "shorter":
							s.sendFile(f.files[path][:400])
						default:
							s.sendFile(f.files[path] + "more\n")
						}
						return true
					}
					o := o
					o.ConnConfig, o.Jobs = f.config(), 2
					foreign := protocol.KindOfPath(path) == protocol.PathForeign
					whole := protocol.KindOfPath(path).Whole() && fault != "gone"
					if !foreign && !whole {
						expectFailure(t, o, "there is no recovery that could make up for it")
						return
					}
					var warnings []string
					o.Log = func(e Event) {
						if e.Level == LevelWarning {
							warnings = append(warnings, e.Message)
						}
					}
					o.Dir = filepath.Join(t.TempDir(), "copy")
					_, err := Backup(t.Context(), o)
					must(t, err)
					if told := len(warnings) == 1 && strings.Contains(warnings[0], path); told != foreign {
						t.Errorf("warnings: %q", warnings)
					}
				})
			}
		}
	}
}

func TestExcuses_Judge(t *testing.T) {
	tell := func(_ EventLevel, format string, args ...any) { t.Errorf(format, args...) }
	var e excuses
	must(t, e.file(&output.File{Path: "base/1/16384", Size: 5}, 10, nil))
	must(t, e.file(&output.File{Path: "log/x", Size: 5}, 10, nil))
	must(t, e.judge(true, tell))
	if err := e.judge(false, tell); err == nil {
		t.Error("no error without replay")
	}
	err := e.file(&output.File{Path: "base/1/16384"}, 10, protocol.Errorf(protocol.CodeIOError, "could not read"))
	if !protocol.HasCode(err, protocol.CodeIOError) {
		t.Errorf("error is %v", err)
	}
}
