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
func TestCreations_Join(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := walrecordtest.New(15, 7, testSegment, 1, testStart)
		l.FillTo(protocol.LSN(0x200000 - 8*rapid.IntRange(3, 400).Draw(t, "words before the border")))
		var want Creations
		for range rapid.IntRange(1, 4).Draw(t, "creations") {
			path := "/" + strings.Repeat("x", rapid.IntRange(1, 1022).Draw(t, "length"))
			want.Tablespaces = append(want.Tablespaces, TablespaceCreation{l.CreateTablespace(16400, path), 16400, path})
			want.Databases = append(want.Databases,
				DatabaseCreation{l.CopyDatabase(16401, 16400, 5, 1663), DatabaseDirectory{16401, 16400}, DatabaseDirectory{5, 1663}},
				DatabaseCreation{l.LogDatabase(16402, 1663), DatabaseDirectory{16402, 1663}, DatabaseDirectory{}})
			l.Add(4, 0x20, nil) // a database is dropped
			l.Add(5, 0x10, nil) // a tablespace is
		}
		l.FillTo(0x300000)
		content := bytesOf(l)
		one, joined, next := run(testSource, content), run(testSource, content[:testSegment]), NewRun(testSource, 0x200000, testStart)
		next.Write(content[testSegment:])
		joined.Join(next)
		if one.Err() != nil || joined.Err() != nil {
			t.Fatalf("errors %v, %v", one.Err(), joined.Err())
		}
		if diff := cmp.Diff(want, one.Creations); diff != "" {
			t.Fatalf("one run (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, joined.Creations); diff != "" {
			t.Fatalf("joined runs (-want +got):\n%s", diff)
		}
	})
}

// The records of each major, in both byte orders. What is not understood is not passed over.
func TestCreations_Majors(t *testing.T) {
	copied := DatabaseCreation{8, DatabaseDirectory{1, 2}, DatabaseDirectory{3, 4}}
	logged := DatabaseCreation{8, DatabaseDirectory{1, 2}, DatabaseDirectory{}}
	databases := func(d ...DatabaseCreation) Creations { return Creations{Databases: d} }
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
			old, now      Creations // of 13 and 14, and of those that came later
		}{
			{"a database of files", 4, 0x00, oids(1, 2, 3, 4), databases(copied), databases(copied)},
			{"with flags", 4, 0x01, oids(1, 2, 3, 4), databases(copied), databases(copied)},
			{"with an origin", 4, 0x00, append([]byte{origin, 0, 1, transaction, 0, 0, 0, 1}, oids(1, 2, 3, 4)...), databases(copied), databases(copied)},
			{"a database of WAL, or a dropped one", 4, 0x10, oids(1, 2), Creations{}, databases(logged)},
			{"a dropped one", 4, 0x20, oids(1, 1, 2), Creations{}, Creations{}},
			{"a short one", 4, 0x00, oids(1, 2, 3), Creations{Unknown: 8}, Creations{Unknown: 8}},
			{"of another kind", 4, 0x30, oids(1, 2), Creations{Unknown: 8}, Creations{Unknown: 8}},
			{"with a block", 4, 0x00, append([]byte{0}, oids(1, 2, 3, 4)...), Creations{Unknown: 8}, Creations{Unknown: 8}},
			{"a tablespace", 5, 0x00, append(path, 'i', 0, 0), Creations{Tablespaces: []TablespaceCreation{{8, 9, "i"}}}, Creations{Tablespaces: []TablespaceCreation{{8, 9, "i"}}}},
			{"a tablespace without an end", 5, 0x00, oids(1), Creations{Unknown: 8}, Creations{Unknown: 8}},
			{"a dropped tablespace", 5, 0x10, oids(1), Creations{}, Creations{}},
			{"a tablespace of another kind", 5, 0x20, oids(1), Creations{Unknown: 8}, Creations{Unknown: 8}},
			{"something else", 6, 0x00, nil, Creations{}, Creations{}},
		} {
			for major, f := range formats {
				want := test.now
				if major < 15 {
					want = test.old
				}
				record := append(make([]byte, recordHeader), test.body...)
				var got Creations
				got.add(&Record{Start: 8, Manager: test.manager, Info: test.info, Length: uint32(len(record))}, f, order, record)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, PostgreSQL %d, %v (-want +got):\n%s", test.name, major, order, diff)
				}
			}
		}
	}
}

// A path is kept only where all of it is, and creations only up to a number.
func TestCreations_TooMuch(t *testing.T) {
	for _, at := range []protocol.LSN{0x101000, 0x101F80} { // in a page, and over two
		l := walrecordtest.New(15, 7, testSegment, 1, testStart)
		l.FillTo(at)
		l.CreateTablespace(16400, strings.Repeat("x", 2000))
		l.CreateTablespace(16401, "/y")
		l.FillTo(0x200000)
		if c := run(testSource, bytesOf(l)).Creations; c.Unknown != at || len(c.Tablespaces) != 1 {
			t.Errorf("%d tablespaces, %v unknown, not %v", len(c.Tablespaces), c.Unknown, at)
		}
	}
	var all Creations
	for i := range maxCreations {
		all.Databases = append(all.Databases, DatabaseCreation{Start: protocol.LSN(i + 1)})
	}
	all.join(Creations{})
	if all.Unknown != 0 {
		t.Errorf("%v is one too many", all.Unknown)
	}
	all.join(Creations{Databases: []DatabaseCreation{{Start: maxCreations + 1}, {Start: maxCreations + 2}}})
	if all.Unknown != maxCreations+1 || len(all.Databases) != maxCreations {
		t.Errorf("%d databases, %v one too many", len(all.Databases), all.Unknown)
	}
}
