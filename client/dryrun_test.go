package client

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
)

// A plan names all that a backup would copy and make; nothing is made, on neither side.
func TestDryRun(t *testing.T) {
	for _, archive := range []*ArchiveOptions{nil, {}} {
		f := newFake(t)
		f.withStream()
		parent := t.TempDir()
		dir, space := filepath.Join(parent, "new", "copy"), filepath.Join(parent, "space")
		f.tablespaces = func(int) []protocol.Tablespace {
			return []protocol.Tablespace{{OID: 16500, Location: "/elsewhere"}}
		}
		f.listed = func(rows []protocol.File) []protocol.File {
			return append(rows, protocol.File{Path: "pg_tblspc/16500", Type: protocol.TypeLink, ModTime: fakeTime})
		}
		before := outputtest.Tree(t, parent)
		got, err := DryRun(t.Context(), Options{
			ConnConfig: f.config(), Dir: dir, Jobs: 2, Archive: archive, WAL: WALOptions{Slot: "new", CreateSlot: true}, TablespaceMap: map[string]string{"/elsewhere": space},
		})
		must(t, err)
		want := Plan{
			SystemID: 7, ServerVersion: 150000, Files: 7, WAL: WALStream, Slot: "new",
			Spaces:  []PlannedSpace{{Target: dir, Files: 7}, {OID: 16500, Location: "/elsewhere", Target: space}},
			Workers: []PlannedWorker{{Files: 1, Bytes: 8192}, {Files: 5, Bytes: 533}},
			Creates: []string{filepath.Join(parent, "new"), dir, space},
		}
		if archive != nil {
			base, other := filepath.Join(dir, "base.tar"), filepath.Join(dir, "16500.tar")
			want.Spaces[0].Target, want.Spaces[1].Target = base, other
			want.Creates = []string{filepath.Join(parent, "new"), dir, other, base}
		}
		for _, content := range f.files {
			want.Bytes += int64(len(content))
		}
		want.Spaces[0].Bytes = want.Bytes
		if len(got.FileSystems) != 1 || got.FileSystems[0].Dir != parent || got.FileSystems[0].Needed != want.Bytes+2<<20 {
			t.Errorf("file systems %+v", got.FileSystems)
		}
		got.FileSystems = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
		outputtest.SameTree(t, before, parent)
		if len(f.commandsWith("START_BACKUP")) > 0 || f.stream.slots["new"] {
			t.Errorf("something was started: %q", f.commands(-1))
		}
	}
}
