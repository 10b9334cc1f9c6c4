package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

// withTablespace gives the cluster a tablespace with two files, in location.
func (f *fake) withTablespace(oid, location string) {
	f.mu.Lock() // for sessions of another process, which nothing else puts behind this
	defer f.mu.Unlock()
	number := uint32(16400)
	f.tablespaces = func(int) []protocol.Tablespace {
		return []protocol.Tablespace{{OID: number, Location: location, Size: 1}}
	}
	f.listed = func(rows []protocol.File) []protocol.File {
		control := rows[len(rows)-1]
		return append(rows[:len(rows)-1:len(rows)-1], protocol.File{Path: "pg_tblspc/" + oid, Type: protocol.TypeLink, ModTime: fakeTime}, control)
	}
	f.query = func(s *fakeSession, command string) bool {
		switch {
		case command == grammar.ListFiles{Tablespace: location}.String():
			s.sendSpace("pg_tblspc/"+oid+"/PG_15_202209061", "pg_tblspc/"+oid+"/PG_15_202209061/1", "pg_tblspc/"+oid+"/PG_15_202209061/1/a", "pg_tblspc/"+oid+"/PG_15_202209061/1/b")
		case strings.HasPrefix(command, "SEND_FILE ('pg_tblspc/"+oid):
			s.sendFile("space")
		default:
			return false
		}
		return true
	}
}

// sendSpace lists two directories, and then files.
func (s *fakeSession) sendSpace(paths ...string) {
	s.sendRows(protocol.FileColumns())
	for i, path := range paths {
		row := protocol.File{Path: path, Type: protocol.TypeDirectory, ModTime: fakeTime}
		if i > 1 {
			row.Type, row.Size = protocol.TypeFile, 5
		}
		s.backend.Send(pgwire.DataRow(row.Row()))
	}
	s.complete()
}

func TestTablespace(t *testing.T) {
	for _, mapped := range []bool{false, true} {
		parent := t.TempDir()
		location := filepath.Join(parent, "place")
		f := newFake(t)
		f.withTablespace("16400", location)
		o := Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy"), Jobs: 2}
		if mapped {
			to := filepath.Join(parent, "new/place")
			o.TablespaceMap = map[string]string{location + "/": to + "/."}
			location = to
		}
		_, err := Backup(t.Context(), o)
		must(t, err)
		if got := read(t, location, "PG_15_202209061/1/a"); got != "space" {
			t.Errorf("file in the tablespace is %q", got)
		}
		if to, err := os.Readlink(filepath.Join(o.Dir, "pg_tblspc/16400")); to != location {
			t.Errorf("link leads to %q, want %q (%v)", to, location, err)
		}
		report, err := Verify(t.Context(), o.Dir, VerifyOptions{})
		must(t, err)
		if len(report.Problems) > 0 || report.Files != int64(len(f.files))+2+1+1-1 {
			t.Errorf("%+v", report)
		}
	}
}

// The thread's leftovers: what was created in a tablespace goes as well.
func TestTablespace_5_3_Failure(t *testing.T) {
	for _, failing := range []string{"START_BACKUP", "SEND_FILE ('pg_tblspc/16400/PG_15_202209061/1/b')", "STOP_BACKUP", "LIST_WAL_FILES"} {
		parent := t.TempDir()
		location := filepath.Join(parent, "space")
		must(t, os.Mkdir(location, 0o751))
		elsewhere := filepath.Join(parent, "elsewhere")
		must(t, os.Mkdir(elsewhere, 0o700))
		must(t, os.WriteFile(filepath.Join(elsewhere, "precious"), []byte("!"), 0o600))
		before := outputtest.Tree(t, parent)
		f := newFake(t)
		f.withTablespace("16400", location)
		query := f.query
		f.query = func(s *fakeSession, command string) bool {
			if !strings.HasPrefix(command, failing) {
				return query(s, command)
			}
			// What lies behind a link is nobody's to remove.
			os.Symlink(elsewhere, filepath.Join(location, "link"))
			s.fail(protocol.Errorf(protocol.CodeInternalError, "scripted failure"))
			return true
		}
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy")})
		if err == nil || !strings.Contains(err.Error(), "scripted failure") {
			t.Errorf("error is %v", err)
		}
		outputtest.SameTree(t, before, parent)
	}
}

func TestTablespace_NotEmpty(t *testing.T) {
	parent := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(parent, "space/PG_15_202209061"), 0o700))
	before := outputtest.Tree(t, parent)
	f := newFake(t)
	f.withTablespace("16400", filepath.Join(parent, "space"))
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy")})
	if err == nil || !strings.Contains(err.Error(), "space\" exists but is not empty") {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, parent)
	if asked := f.commandsWith("START_BACKUP"); len(asked) > 0 {
		t.Error("there was a checkpoint before the error")
	}
}

func TestTablespace_Overlap(t *testing.T) {
	for _, to := range []string{"copy", "copy/space", ""} {
		parent := t.TempDir()
		before := outputtest.Tree(t, parent)
		f := newFake(t)
		f.withTablespace("16400", filepath.Join(parent, "space"))
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy"),
			TablespaceMap: map[string]string{filepath.Join(parent, "space"): filepath.Join(parent, to)}})
		if err == nil || !strings.Contains(err.Error(), "of tablespace 16400 overlaps with ") {
			t.Errorf("mapped to %q: error is %v", to, err)
		}
		outputtest.SameTree(t, before, parent)
	}
}

func TestTablespace_5_8_Created(t *testing.T) {
	for _, since := range []int{1, 2} { // the call of LIST_TABLESPACES from which it is there
		f := newFake(t)
		f.tablespaces = func(call int) []protocol.Tablespace {
			list := []protocol.Tablespace{{OID: 16399, Location: "pg_tblspc/16399", Size: -1}} // in-place
			if call%3 >= since {
				list = append(list, protocol.Tablespace{OID: 16500, Location: "/new", Size: -1})
			}
			return list
		}
		parent := t.TempDir()
		before := outputtest.Tree(t, parent)
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy")})
		e, ok := err.(*protocol.Error)
		if !ok || !strings.Contains(e.Message, "tablespace 16500 was created during the backup") || !strings.Contains(e.Hint, `"/new"`) {
			t.Errorf("error is %v", err)
		}
		outputtest.SameTree(t, before, parent)
	}
}

func TestTablespace_5_8_InPlaceCreated(t *testing.T) {
	f := newFake(t)
	f.tablespaces = func(call int) []protocol.Tablespace {
		if call < 2 {
			return nil
		}
		return []protocol.Tablespace{{OID: 16399, Location: "pg_tblspc/16399", Size: -1}}
	}
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy")})
	must(t, err)
}

// A tablespace can be dropped at any time; its directory is not kept.
func TestTablespace_5_2_Dropped(t *testing.T) {
	for _, label := range []string{fakeLabel(0x100028, 1), ""} {
		parent := t.TempDir()
		location := filepath.Join(parent, "space")
		f := newFake(t)
		f.withTablespace("16400", location)
		f.listed = nil // the link is gone
		f.stop.Label = label
		f.failOn("LIST_FILES '", protocol.CodeUndefinedObject)
		before := outputtest.Tree(t, parent)
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy")})
		if label == "" {
			if err == nil || !strings.Contains(err.Error(), "tablespace 16400 has been dropped, and there is no recovery") {
				t.Errorf("error is %v", err)
			}
			outputtest.SameTree(t, before, parent)
			continue
		}
		must(t, err)
		if _, err := os.Stat(location); err == nil {
			t.Error("the directory of the tablespace was left behind")
		}
	}
}

func TestTablespace_5_9_Rows(t *testing.T) {
	for path, want := range map[string]string{
		"pg_tblspc/16401/PG_15_202209061":     "outside of tablespace 16400",
		"base/1/x":                            "outside of tablespace 16400",
		"pg_tblspc/16400":                     "outside of tablespace 16400",
		"pg_tblspc/016400/x":                  "outside of tablespace 16400",
		"pg_tblspc/16400/PG_15_202209061/x/y": "before the directory that holds it",
		"pg_tblspc/16400/authorized_keys":     "in no directory of PostgreSQL 15",
		"pg_tblspc/16400/PG_15_x":             "in no directory of PostgreSQL 15",
		"pg_tblspc/16400/PG_150_1/x":          "in no directory of PostgreSQL 15",
		"pg_tblspc/16400/PG_14_202107181/1":   "in no directory of PostgreSQL 15",
		"pg_tblspc/16400/PG_15_202209062":     "in no directory of PostgreSQL 15",
	} {
		f := newFake(t)
		location := filepath.Join(t.TempDir(), "space")
		f.withTablespace("16400", location)
		query := f.query
		f.query = func(s *fakeSession, command string) bool {
			if command == (grammar.ListFiles{Tablespace: location}).String() {
				s.sendSpace("pg_tblspc/16400/PG_15_202209061", "pg_tblspc/16400/PG_15_202209061/1", path)
				return true
			}
			return query(s, command)
		}
		expectFailure(t, Options{ConnConfig: f.config()}, want)
		if _, err := os.Stat(location); err == nil {
			t.Error("the directory of the tablespace was left behind")
		}
	}
}

// What belongs to a tablespace does not come through the data directory's list.
func TestTablespace_5_9_ThroughTheLink(t *testing.T) {
	for _, row := range []protocol.File{
		{Path: "pg_tblspc/16400/PG_15_202209061", Type: protocol.TypeDirectory},
		{Path: "pg_tblspc/16400", Type: protocol.TypeDirectory},
	} {
		f := newFake(t)
		f.withTablespace("16400", filepath.Join(t.TempDir(), "space"))
		listed := f.listed
		f.listed = func(rows []protocol.File) []protocol.File { return append(listed(rows), row) }
		expectFailure(t, Options{ConnConfig: f.config()}, "pg_tblspc/16400")
	}
}
