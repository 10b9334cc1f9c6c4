package client

import (
	"path"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// Whatever rows come, in a plan that is accepted every path is there once, below
// the directory, and its parent is one of the directories before it.
func TestListing_5_9_Property(t *testing.T) {
	names := rapid.SampledFrom([]string{"base", "1", "16384", "pg_tblspc", "16400", "16401", "PG_15_202209061", "..", ".", "", "x"})
	rapid.Check(t, func(t *rapid.T) {
		p := newListingChecker(150000, []protocol.Tablespace{{OID: 16400, Location: "/a"}, {OID: 16401, Location: "pg_tblspc/16401"}})
		accept := func(tablespace uint32, name string, kind protocol.FileType) {
			f := protocol.File{Path: name, Type: kind, ModTime: time.Unix(0, 0)}
			if protocol.CheckPath(name) == nil {
				_ = p.add(tablespace, f) // what is refused is not in the plan
			}
		}
		accept(0, "global", 'd')
		accept(0, "PG_VERSION", 'f')
		accept(0, "global/pg_control", 'f')
		accept(0, "pg_tblspc", 'd')
		for range rapid.IntRange(0, 40).Draw(t, "rows") {
			accept(rapid.SampledFrom([]uint32{0, 0, 16400, 16401}).Draw(t, "list"),
				path.Join(rapid.SliceOfN(names, 1, 4).Draw(t, "path")...),
				rapid.SampledFrom([]protocol.FileType{'f', 'd', 'd', 'l'}).Draw(t, "type"))
		}
		plan, err := p.finish()
		if err != nil {
			return
		}
		var all []string
		parents := map[string]bool{".": true}
		for _, d := range plan.Directories {
			all = append(all, d)
			parents[d] = true
		}
		for _, oid := range plan.Links {
			if oid != 16400 {
				t.Fatalf("link of tablespace %d", oid)
			}
			all = append(all, "pg_tblspc/16400")
			parents["pg_tblspc/16400"] = true
		}
		for i := range int32(plan.Files.Len()) {
			all = append(all, plan.Files.At(i).Path)
		}
		all = append(all, plan.Control.Path)
		for _, name := range all {
			if !parents[path.Dir(name)] {
				t.Fatalf("%q has no parent", name)
			}
		}
		slices.Sort(all)
		if len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Fatalf("a path is there twice: %q", all)
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Add(uint32(0), []byte("base/1"), byte('d'), []byte("base/1/x"), byte('f'))
	f.Add(uint32(16400), []byte("pg_tblspc/16400/PG"), byte('d'), []byte("pg_tblspc/16400/PG/1"), byte('f'))
	f.Fuzz(func(t *testing.T, list uint32, a []byte, ka byte, b []byte, kb byte) {
		p := newListingChecker(150000, []protocol.Tablespace{{OID: 16400, Location: "/a"}})
		for _, row := range []protocol.Row{{a, {ka}, []byte("1"), []byte("0")}, {b, {kb}, []byte("1"), []byte("0")}} {
			file, err := protocol.DecodeFile(row)
			if err != nil {
				continue
			}
			_ = p.add(list, file) // only panics count
		}
		_, _ = p.finish() // likewise
	})
}

// What a directory gives twice while names come and go is in the plan once, with its
// size; what is not the same both times is refused (§5.9).
func TestListing_5_9_EqualRows(t *testing.T) {
	rows := []protocol.File{
		{Path: "base", Type: 'd'}, {Path: "base/1", Type: 'd'}, {Path: "global", Type: 'd'}, {Path: "pg_tblspc", Type: 'd'},
		{Path: "PG_VERSION", Type: 'f', Size: 3}, {Path: "base/1/2619", Type: 'f', Size: 8192, ModTime: time.Unix(5, 0)},
		{Path: "pg_tblspc/16400", Type: 'l'}, {Path: output.ControlFile, Type: 'f', Size: 8192},
	}
	planOf := func(rows []protocol.File) (*output.Listing, error) {
		p := newListingChecker(150000, []protocol.Tablespace{{OID: 16400, Location: "/a"}})
		for _, row := range rows {
			if err := p.add(0, row); err != nil {
				return nil, err
			}
		}
		return p.finish()
	}
	want, err := planOf(rows)
	must(t, err)
	for i, row := range rows {
		got, err := planOf(slices.Insert(slices.Clone(rows), i, row))
		must(t, err)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(output.Listing{}, output.Files{}, output.File{})); diff != "" {
			t.Errorf("%s twice (-want +got):\n%s", row.Path, diff)
		}
		if row.Type != 'f' {
			continue
		}
		row.Size++
		if _, err := planOf(append(slices.Clone(rows), row)); err == nil {
			t.Errorf("%s twice, with another size: no error", row.Path)
		}
	}
}
