package client

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
)

// creating makes WAL whose records do what a function says, at a position.
func (f *fake) creating(at protocol.LSN, create func(l *walrecordtest.Log)) {
	l := walrecordtest.New(15, 7, fakeSegment, 1, 0x100028)
	l.Shutdown()
	l.FillTo(at)
	create(l)
	for _, stop := range []protocol.LSN{0x180000, 0x200000} {
		if l.End() < stop {
			l.FillTo(stop)
		}
	}
	f.withWAL(l)
}

// WAL must not create a tablespace of the copy elsewhere, nor behind the end of the backup
// (§5.12).
func TestReplay_5_12_Tablespaces(t *testing.T) {
	const here, before, behind = "here", 0x140100, 0x190100
	for _, test := range []struct {
		name     string
		mapped   bool
		at       protocol.LSN
		oid      uint32
		location string
		want     string // empty: it is complete
	}{
		{"mapped", true, before, 16400, here, "it at 0/140100 in"},
		{"mapped, behind the end", true, behind, 16400, here, "it at 0/190100 in"},
		{"moved on the source", false, before, 16400, "/another", `in "/another"`},
		{"where it is", false, before, 16400, here, ""},
		{"in place", true, before, 16400, "", ""},
		{"in place, by its path", true, before, 16400, "pg_tblspc/16400", ""},
		{"another", true, before, 16401, here, "tablespace 16401 was created during the backup"},
	} {
		for name, archive := range map[string]*ArchiveOptions{"plain": nil, "tar": {}} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				f := newFake(t)
				f.stop.StopPtr = 0x180000
				space := filepath.Join(t.TempDir(), "space")
				f.withTablespace("16400", space)
				f.creating(test.at, func(l *walrecordtest.Log) {
					l.CreateTablespace(test.oid, strings.Replace(test.location, here, space, 1))
				})
				o := Options{ConnConfig: f.config(), Archive: archive}
				if test.mapped {
					o.TablespaceMap = map[string]string{space: filepath.Join(t.TempDir(), "moved")}
				}
				o.Dir = filepath.Join(t.TempDir(), "copy")
				expectReplay(t, o, test.want)
			})
		}
	}
}

// A tablespace that no list shows is in the WAL, if it was created behind the one and dropped
// ahead of the other; the copy would link it to the directory of the source where it is dropped
// only behind the end of the backup (§5.12).
func TestReplay_5_12_PassingTablespaces(t *testing.T) {
	const created = "tablespace 16401 was created during the backup"
	create := func(l *walrecordtest.Log) { l.CreateTablespace(16401, "/passing") }
	for _, test := range []struct {
		name   string
		create func(l *walrecordtest.Log)
		want   string // empty: it is complete
	}{
		{"created", create, created},
		{"created and dropped", func(l *walrecordtest.Log) { create(l); l.DropTablespace(16401) }, ""},
		{"dropped behind the end", func(l *walrecordtest.Log) { create(l); l.FillTo(0x180000); l.DropTablespace(16401) }, created},
		{"another dropped", func(l *walrecordtest.Log) { create(l); l.DropTablespace(16402) }, created},
		{"dropped ahead", func(l *walrecordtest.Log) { l.DropTablespace(16401); create(l) }, created},
		{"created again", func(l *walrecordtest.Log) { create(l); l.DropTablespace(16401); create(l) }, created},
		{"another in its place", func(l *walrecordtest.Log) {
			l.CreateTablespace(16402, "/passing")
			l.DropTablespace(16402)
			create(l)
		}, created},
		{"behind the end", func(l *walrecordtest.Log) { l.FillTo(0x180100); create(l); l.DropTablespace(16401) }, created},
		{"in place", func(l *walrecordtest.Log) { l.CreateTablespace(16401, "") }, ""},
		{"of a list, its link gone, and dropped", func(l *walrecordtest.Log) { l.CreateTablespace(16400, "/gone"); l.DropTablespace(16400) }, ""},
		{"of a list, its link gone", func(l *walrecordtest.Log) { l.CreateTablespace(16400, "/gone") }, "tablespace 16400 was created during the backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			f.stop.StopPtr = 0x180000
			f.tablespaces = func(call int) []protocol.Tablespace {
				if call == 0 {
					return []protocol.Tablespace{{OID: 16400, Location: "/gone", Size: -1}}
				}
				return nil
			}
			f.creating(0x140100, test.create)
			expectReplay(t, Options{
				ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"),
				TablespaceMap: map[string]string{"/gone": filepath.Join(t.TempDir(), "moved")},
			}, test.want)
		})
	}
}

// WAL must not copy the files of a database which the backup does not have all (§5.12).
func TestReplay_5_12_Databases(t *testing.T) {
	size := func(f *fake, size int64) {
		f.listed = func(rows []protocol.File) []protocol.File {
			for i := range rows {
				if rows[i].Path == "base/1/16384" {
					rows[i].Size = size
				}
			}
			return rows
		}
	}
	from := func(database uint32) func(l *walrecordtest.Log) {
		return func(l *walrecordtest.Log) { l.CopyDatabase(16402, 1663, database, 1663) }
	}
	for _, test := range []struct {
		name   string
		script func(f *fake)
		create func(l *walrecordtest.Log)
		want   string // empty: it is complete
	}{
		{"whole", nil, from(1), ""},
		{"a file has vanished", func(f *fake) { f.failOn("SEND_FILE ('base/1/16385'", protocol.CodeUndefinedFile) }, from(1), "creates database 16402 in tablespace 1663 at 0/140100 from the files of database 1 in tablespace 1663"},
		{"a file of another has vanished", func(f *fake) {
			f.files["base/2/PG_VERSION"] = "15\n"
			f.failOn("SEND_FILE ('base/2", protocol.CodeUndefinedFile)
		}, from(1), ""},
		{"a file has shrunk", func(f *fake) { size(f, 16384) }, from(1), "from the files of database 1 "},
		{"a file has grown", func(f *fake) { size(f, 4096) }, from(1), ""},
		{"not listed", nil, from(9), "from the files of database 9 "},
		{"listed in part", func(f *fake) { f.files["base/9/1259"] = "" }, from(9), "from the files of database 9 "},
		{"in another tablespace", nil, func(l *walrecordtest.Log) { l.CopyDatabase(1, 1663, 1, 16400) }, "from the files of database 1 in tablespace 16400"},
		{"created before", nil, func(l *walrecordtest.Log) { l.LogDatabase(9, 1663); from(9)(l) }, ""},
		{"created afterwards", nil, func(l *walrecordtest.Log) { from(9)(l); l.LogDatabase(9, 1663) }, "from the files of database 9 "},
		{"moved", nil, func(l *walrecordtest.Log) { l.CopyDatabase(1, 16400, 1, 1663) }, "from the files of database 1 in tablespace 1663"},
		{"moved and moved back", nil, func(l *walrecordtest.Log) {
			l.CopyDatabase(1, 16400, 1, 1663)
			l.DropDatabase(1, 1663)
			l.CopyDatabase(1, 1663, 1, 16400)
			l.DropDatabase(1, 16400)
		}, "creates database 1 in tablespace 16400 at 0/140100 from the files of database 1 in tablespace 1663"},
		{"a template that is dropped then", nil, func(l *walrecordtest.Log) { from(1)(l); l.DropDatabase(1, 16400, 1663) }, "from the files of database 1 "},
		{"a template that is dropped elsewhere", nil, func(l *walrecordtest.Log) { from(1)(l); l.DropDatabase(1, 16400); l.DropDatabase(2, 1663) }, ""},
		{"a template that is made of another then", nil, func(l *walrecordtest.Log) { from(1)(l); l.CopyDatabase(1, 1663, 2, 1663) }, "from the files of database 1 "},
		{"a template that is made of WAL then", nil, func(l *walrecordtest.Log) { from(1)(l); l.LogDatabase(1, 1663) }, "from the files of database 1 "},
		{"a template that was made of one that stays", nil, func(l *walrecordtest.Log) {
			from(1)(l)
			l.CopyDatabase(16403, 1663, 16402, 1663)
			l.DropDatabase(16402, 1663)
		}, ""},
		{"a template that was dropped", nil, func(l *walrecordtest.Log) { l.DropDatabase(1, 1663); from(1)(l) }, "from the files of database 1 "},
		{"a template of many, which come and go", nil, func(l *walrecordtest.Log) {
			for range 3 {
				from(1)(l)
				l.DropDatabase(16402, 1663)
			}
		}, ""},
		{"moved behind the end", func(f *fake) { f.stop.StopPtr = 0x140000 }, func(l *walrecordtest.Log) {
			l.CopyDatabase(1, 16400, 1, 1663)
			l.DropDatabase(1, 1663)
		}, ""},
		{"not known", nil, func(l *walrecordtest.Log) { l.Add(4, 0x70, nil) }, "record at 0/140100 of the write-ahead log creates what this client does not know"},
	} {
		for name, method := range map[string]WALMethod{"fetched": WALFetch, "streamed": WALStream} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				f := newFake(t)
				f.withStream()
				f.creating(0x140100, test.create)
				if test.script != nil {
					test.script(f)
				}
				expectReplay(t, Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Method: method}, Jobs: 2}, test.want)
			})
		}
	}
}

// The files of a template are removed ahead of the record that says so, which may lie behind the end of
// the backup (§5.12). WAL that is fetched has it; the stream may end ahead of it.
func TestReplay_5_12_TemplateDroppedBehindTheEnd(t *testing.T) {
	f := newFake(t)
	f.stop.StopPtr = 0x140148
	f.creating(0x140100, func(l *walrecordtest.Log) {
		l.CopyDatabase(16402, 1663, 1, 1663)
		l.FillTo(0x150000)
		l.DropDatabase(1, 1663)
	})
	expectReplay(t, Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Method: WALFetch}}, "from the files of database 1 ")
}

// expectReplay takes a backup that is complete, or fails with the text.
func expectReplay(t *testing.T, o Options, want string) {
	t.Helper()
	_, err := Backup(t.Context(), o)
	switch {
	case want == "":
		must(t, err)
	case err == nil || !strings.Contains(err.Error(), want):
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

func TestSplitDatabasePath(t *testing.T) {
	for path, want := range map[string]string{
		"base/5/PG_VERSION":                            "database 5 in tablespace 1663: PG_VERSION",
		"pg_tblspc/16400/PG_15_202209061/5/PG_VERSION": "database 5 in tablespace 16400: PG_VERSION",
		"base/5":           "",
		"base/pgsql_tmp/1": "",
		"base/05/1":        "",
		"global/1260":      "",
		"pg_tblspc/16400/PG_15_202209061/pgsql_tmp/t.0": "",
		"pg_tblspc/16400/PG_15_202209061":               "",
	} {
		d, name, ok := splitDatabasePath(path)
		got := ""
		if ok {
			got = inWords(d) + ": " + name
		} else if d == (walrecord.DatabaseDirectory{}) && name != "" {
			t.Errorf("%s: a name without a database", path)
		}
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}
