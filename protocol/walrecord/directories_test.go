package walrecord

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
)

// What creates directories is found wherever a record lies across pages and segments, in
// one run and in joined ones.
func TestDirectories_Join(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := walrecordtest.New(15, 7, testSegment, 1, testStart)
		l.FillTo(protocol.LSN(0x200000 - 8*rapid.IntRange(3, 400).Draw(t, "words before the border")))
		var want Directories
		for range rapid.IntRange(1, 4).Draw(t, "creations") {
			path := "/" + strings.Repeat("x", rapid.IntRange(1, 1022).Draw(t, "length"))
			want.Tablespaces = append(want.Tablespaces, TablespaceChange{Start: l.CreateTablespace(16400, path), OID: 16400, Location: path})
			want.Databases = append(want.Databases,
				DatabaseChange{Start: l.CopyDatabase(16401, 16400, 5, 1663), Directory: DatabaseDirectory{16401, 16400}, Template: DatabaseDirectory{5, 1663}},
				DatabaseChange{Start: l.LogDatabase(16402, 1663), Directory: DatabaseDirectory{16402, 1663}})
			dropped := l.DropDatabase(16401, 16400, 1663)
			want.Databases = append(want.Databases,
				DatabaseChange{Start: dropped, Directory: DatabaseDirectory{16401, 16400}, Dropped: true},
				DatabaseChange{Start: dropped, Directory: DatabaseDirectory{16401, 1663}, Dropped: true})
			want.Tablespaces = append(want.Tablespaces, TablespaceChange{Start: l.DropTablespace(16400), OID: 16400, Dropped: true})
		}
		l.FillTo(0x300000)
		content := bytesOf(l)
		one, joined, next := run(testSource, content), run(testSource, content[:testSegment]), NewRun(testSource, 0x200000, testStart)
		next.Write(content[testSegment:])
		joined.Join(next)
		if one.Err() != nil || joined.Err() != nil {
			t.Fatalf("errors %v, %v", one.Err(), joined.Err())
		}
		if diff := cmp.Diff(want, one.Directories); diff != "" {
			t.Fatalf("one run (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, joined.Directories); diff != "" {
			t.Fatalf("joined runs (-want +got):\n%s", diff)
		}
	})
}

// The records of each major, in both byte orders. What is not understood is not passed over.
func TestDirectories_Majors(t *testing.T) {
	copied := DatabaseChange{Start: 8, Directory: DatabaseDirectory{1, 2}, Template: DatabaseDirectory{3, 4}}
	logged := DatabaseChange{Start: 8, Directory: DatabaseDirectory{1, 2}}
	dropped := func(tablespace uint32) DatabaseChange {
		return DatabaseChange{Start: 8, Directory: DatabaseDirectory{1, tablespace}, Dropped: true}
	}
	databases := func(d ...DatabaseChange) Directories { return Directories{Databases: d} }
	tablespaces := func(t TablespaceChange) Directories { return Directories{Tablespaces: []TablespaceChange{t}} }
	unknown := Directories{Unknown: 8}
	for _, order := range []interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}{binary.LittleEndian, binary.BigEndian} {
		oids := func(list ...uint32) (data []byte) {
			for _, oid := range list {
				data = order.AppendUint32(data, oid)
			}
			return append([]byte{dataShort, byte(len(data))}, data...)
		}
		path := order.AppendUint32(order.AppendUint32([]byte{dataLong}, 7), 9)
		for _, test := range []struct {
			name          string
			manager, info uint8
			body          []byte
			old, now      Directories // of 13 and 14, and of those that came later
		}{
			{"a database of files", 4, 0x00, oids(1, 2, 3, 4), databases(copied), databases(copied)},
			{"with flags", 4, 0x01, oids(1, 2, 3, 4), databases(copied), databases(copied)},
			{"with an origin", 4, 0x00, append([]byte{origin, 0, 1, transaction, 0, 0, 0, 1}, oids(1, 2, 3, 4)...), databases(copied), databases(copied)},
			{"a database of WAL", 4, 0x10, oids(1, 2), unknown, databases(logged)},
			{"a dropped one, before 15", 4, 0x10, oids(1, 2, 3, 4), databases(dropped(3), dropped(4)), unknown},
			{"a dropped one", 4, 0x20, oids(1, 1, 2), databases(dropped(2)), databases(dropped(2))},
			{"one dropped in no tablespace", 4, 0x20, oids(1, 0), Directories{}, Directories{}},
			{"a dropped one that is short", 4, 0x20, oids(1, 2, 3), unknown, unknown},
			{"a dropped one that is very short", 4, 0x20, oids(1), unknown, unknown},
			{"a short one", 4, 0x00, oids(1, 2, 3), unknown, unknown},
			{"of another kind", 4, 0x30, oids(1, 2), unknown, unknown},
			{"with a block", 4, 0x00, append([]byte{0}, oids(1, 2, 3, 4)...), unknown, unknown},
			{"a tablespace", 5, 0x00, append(path, 'i', 0, 0), tablespaces(TablespaceChange{Start: 8, OID: 9, Location: "i"}), tablespaces(TablespaceChange{Start: 8, OID: 9, Location: "i"})},
			{"a tablespace without an end", 5, 0x00, oids(1), unknown, unknown},
			{"a dropped tablespace", 5, 0x10, oids(1), tablespaces(TablespaceChange{Start: 8, OID: 1, Dropped: true}), tablespaces(TablespaceChange{Start: 8, OID: 1, Dropped: true})},
			{"a dropped tablespace that is short", 5, 0x10, nil, unknown, unknown},
			{"a tablespace of another kind", 5, 0x20, oids(1), unknown, unknown},
			{"something else", 6, 0x00, nil, Directories{}, Directories{}},
		} {
			for major, f := range formats {
				want := test.now
				if major < 15 {
					want = test.old
				}
				record := append(make([]byte, recordHeader), test.body...)
				var got Directories
				got.add(&Record{Start: 8, Manager: test.manager, Info: test.info, Length: uint32(len(record))}, f, order, record)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, PostgreSQL %d, %v (-want +got):\n%s", test.name, major, order, diff)
				}
			}
		}
	}
}

// A path is kept only where all of it is, and creations only up to a number.
func TestDirectories_TooMuch(t *testing.T) {
	for _, at := range []protocol.LSN{0x101000, 0x101F80} { // in a page, and over two
		l := walrecordtest.New(15, 7, testSegment, 1, testStart)
		l.FillTo(at)
		l.CreateTablespace(16400, strings.Repeat("x", 2000))
		l.CreateTablespace(16401, "/y")
		l.FillTo(0x200000)
		if c := run(testSource, bytesOf(l)).Directories; c.Unknown != at || len(c.Tablespaces) != 1 {
			t.Errorf("%d tablespaces, %v unknown, not %v", len(c.Tablespaces), c.Unknown, at)
		}
	}
	var all Directories
	for i := range maxChanges {
		all.Databases = append(all.Databases, DatabaseChange{Start: protocol.LSN(i + 1)})
	}
	all.join(Directories{})
	if all.Unknown != 0 {
		t.Errorf("%v is one too many", all.Unknown)
	}
	all.join(Directories{Databases: []DatabaseChange{{Start: maxChanges + 1}, {Start: maxChanges + 2}}})
	if all.Unknown != maxChanges+1 || len(all.Databases) != maxChanges {
		t.Errorf("%d databases, %v one too many", len(all.Databases), all.Unknown)
	}
}
