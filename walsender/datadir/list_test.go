package datadir

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// listing is what Files yields, as "type path", and the notices.
func listing(t testing.TB, d *Dir, tablespace string) (rows, notices []string) {
	t.Helper()
	for f, err := range d.Files(t.Context(), tablespace, func(e *protocol.Error) { notices = append(notices, e.Message) }) {
		if err != nil {
			t.Fatal(err)
		}
		if err := protocol.CheckPath(f.Path); err != nil {
			t.Error(err)
		}
		rows = append(rows, string(f.Type)+" "+f.Path)
	}
	return rows, notices
}

// tree makes a data directory with one of everything.
func tree(t testing.TB, c controlfile.Control) (fixture, string) {
	f, location := newFixture(t, c), t.TempDir()
	for _, name := range []string{
		"base/5/PG_VERSION", "base/5/16384", "base/5/16384_fsm", "base/5/16384.1", "base/5/16384_init", "base/5/16385", "base/5/t3_16390",
		"base/5/pgsql_tmp/pgsql_tmp1.0", "base/5/pg_internal.init", "global/1262", "global/20000", "global/20000_init", "postmaster.opts",
		"backup_label.old", "pg_replslot/slot/state", "pg_xact/0000", "deep/pg_notify/x", "deep/er/file", "pg_wal/000000010000000000000001",
		"pg_wal/archive_status/000000010000000000000001.done", "standby.signal",
		"inside/PG_15_202209061/5/16384", "inside/other", "pg_tblspc/777",
		"pg_tblspc/16402/PG_15_202209061/5/16500", "pg_tblspc/16402/PG_15_202209061/5/16500_init", "pg_tblspc/16402/PG_14_202107181/5/1",
	} {
		f.write(name, []byte(name))
	}
	for _, name := range []string{"PG_15_202209061/5/16600", "PG_15_202209061/5/t3_16601", "PG_14_202107181/5/1", "other"} {
		f.must(os.MkdirAll(filepath.Dir(filepath.Join(location, name)), 0o700))
		f.must(os.WriteFile(filepath.Join(location, name), []byte(name), 0o600))
	}
	f.must(os.Symlink(location, f.at("pg_tblspc/16401")))
	f.must(os.Symlink(f.at("inside"), f.at("pg_tblspc/16403")))
	f.must(os.Symlink(t.TempDir(), f.at("pg_dynshmem")))
	f.must(os.Symlink("postgresql.conf", f.at("link")))
	f.must(os.Symlink("/nowhere", f.at("pg_tblspc/nonsense")))
	f.must(unix.Mkfifo(f.at("fifo"), 0o600))
	socket, err := net.Listen("unix", f.at("socket"))
	f.must(err)
	t.Cleanup(func() { f.must(socket.Close()) })
	return f, location
}

// What every listing of the tree's data directory has.
var treeRows = []string{
	"f PG_VERSION", "f backup_label.old", "f standby.signal", "d base", "d base/5", "f base/5/PG_VERSION", "f base/5/16384_init", "f base/5/16385",
	"d global", "f global/1262", "f global/20000", "f global/20000_init", "f global/pg_control",
	"d pg_replslot", "d pg_dynshmem", "d pg_xact", "f pg_xact/0000", "d deep", "d deep/pg_notify", "d deep/er", "f deep/er/file",
	"d pg_wal", "d pg_wal/archive_status", "d inside", "d pg_tblspc", "f pg_tblspc/777", "l pg_tblspc/16401", "d pg_tblspc/16402", "l pg_tblspc/16403",
}

func TestFiles_4_5(t *testing.T) {
	for _, recovery := range []bool{false, true} {
		f, location := tree(t, validControl())
		d := f.open()
		d.RecoveryOnRestore = recovery
		want := slices.Clone(treeRows)
		if !recovery {
			want = append(want, "f base/5/16384", "f base/5/16384_fsm", "f base/5/16384.1")
		}
		rows, notices := listing(t, d, "")
		if last := rows[len(rows)-1]; last != "f global/pg_control" {
			t.Errorf("the last row is %q", last)
		}
		checkParents(t, rows, "")
		compare(t, "data directory", want, rows)
		compare(t, "notices", []string{
			`skipping special file "./link"`, `skipping special file "./fifo"`, `skipping special file "./socket"`,
			`skipping special file "./pg_tblspc/nonsense"`,
		}, notices)

		version := "d pg_tblspc/%s/PG_15_202209061"
		for name, content := range map[string][]string{
			"16401":           {"f pg_tblspc/16401/PG_15_202209061/5/16600"},
			location:          {"f pg_tblspc/16401/PG_15_202209061/5/16600"},
			"16402":           {"f pg_tblspc/16402/PG_15_202209061/5/16500_init"},
			"pg_tblspc/16402": {"f pg_tblspc/16402/PG_15_202209061/5/16500_init"},
			"16403":           {"f pg_tblspc/16403/PG_15_202209061/5/16384"},
		} {
			rows, notices := listing(t, d, name)
			oid := strings.Split(content[0], "/")[1]
			want := append(content, fmt.Sprintf(version, oid), fmt.Sprintf(version, oid)+"/5")
			if oid == "16402" && !recovery {
				want = append(want, "f pg_tblspc/16402/PG_15_202209061/5/16500")
			}
			compare(t, "tablespace "+name, want, rows)
			compare(t, "notices", nil, notices)
			checkParents(t, rows, "pg_tblspc/"+oid)
		}
	}
}

func TestFiles_4_5_Version17(t *testing.T) {
	c := validControl()
	c.Version, c.CatalogVersion = 1700, 202406281
	f := newFixture(t, c)
	f.write("PG_VERSION", []byte("17\n"))
	f.write("global/20000", nil)
	f.write("global/20000_init", nil)
	d := f.open()
	d.RecoveryOnRestore = true
	rows, _ := listing(t, d, "")
	compare(t, "data directory", []string{
		"f PG_VERSION", "d base", "d base/5", "d global", "f global/20000_init", "f global/pg_control",
		"d pg_wal", "d pg_wal/archive_status", "d pg_wal/summaries", "d pg_tblspc",
	}, rows)
}

// What the walk knows of init forks is the directory's that it is in, also behind a directory
// that lies within: somebody else's, in the one of a database.
func TestFiles_4_5_InitForksBesideDirectories(t *testing.T) {
	f := newFixture(t, validControl())
	want := []string{"f PG_VERSION", "d base", "d base/5", "d global", "f global/pg_control", "d pg_wal", "d pg_wal/archive_status", "d pg_tblspc"}
	for i := range 20 {
		relation := "base/5/" + strconv.Itoa(20000+i)
		f.write(relation, nil)
		f.write(relation+"_init", nil)
		folder := "base/5/folder" + strconv.Itoa(i)
		f.write(folder+"/"+strconv.Itoa(20000+i), nil)
		want = append(want, "f "+relation+"_init", "d "+folder, "f "+folder+"/"+strconv.Itoa(20000+i))
	}
	d := f.open()
	d.RecoveryOnRestore = true
	rows, _ := listing(t, d, "")
	compare(t, "data directory", want, rows)
}

func compare(t testing.TB, what string, want, got []string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// checkParents checks that a directory comes before what it holds.
func checkParents(t testing.TB, rows []string, top string) {
	t.Helper()
	seen := map[string]bool{".": true, top: true}
	for _, row := range rows {
		name := row[2:]
		if !seen[filepath.Dir(name)] {
			t.Errorf("%s comes before its directory", name)
		}
		if seen[name] {
			t.Errorf("%s comes twice", name)
		}
		seen[name] = row[0] == 'd'
	}
}

// Everything in the tree can be opened exactly if a listing shows it.
func TestOpen_4_6_AsListed(t *testing.T) {
	for _, recovery := range []bool{false, true} {
		f, location := tree(t, validControl())
		d := f.open()
		d.RecoveryOnRestore = recovery
		listed := make(map[string]byte)
		for _, tablespace := range []string{"", "16401", "16402", "16403"} {
			rows, _ := listing(t, d, tablespace)
			for _, row := range rows {
				listed[row[2:]] = row[0]
			}
		}
		var names []string
		for _, walk := range [][2]string{{f.path, ""}, {location, "pg_tblspc/16401/"}, {f.at("inside"), "pg_tblspc/16403/"}} {
			f.must(filepath.WalkDir(walk[0], func(path string, _ os.DirEntry, err error) error {
				if path != walk[0] {
					names = append(names, walk[1]+strings.TrimPrefix(path, walk[0]+"/"))
				}
				return err
			}))
		}
		for _, name := range names {
			if strings.HasPrefix(name, "pg_wal/0") {
				continue // the listing of WAL shows it
			}
			file, err := d.Open(t.Context(), name, protocol.OpenOptions{})
			want := []string{protocol.CodeInsufficientPrivilege}
			switch listed[name] {
			case 'f':
				want = []string{""}
			case 'd', 'l':
				want = []string{protocol.CodeWrongObjectType}
			default:
				if recovery {
					want = append(want, protocol.CodeUndefinedFile) // forks beside an init fork
				}
			}
			if !slices.Contains(want, code(err)) {
				t.Errorf("recovery %v, opening %s: error %v, want %q", recovery, name, err, want)
			}
			if err == nil {
				f.must(file.Close())
			}
		}
	}
}

func TestFiles_Rows(t *testing.T) {
	f := newFixture(t, validControl())
	f.write("base/5/1", make([]byte, 12345))
	want, err := os.Stat(f.at("base/5/1"))
	f.must(err)
	for row, err := range f.open().Files(t.Context(), "", nil) {
		f.must(err)
		switch row.Path {
		case "base/5/1":
			if row.Size != 12345 || row.ModTime.Unix() != want.ModTime().Unix() || row.ModTime.Nanosecond() != 0 {
				t.Errorf("row %+v", row)
			}
		case "base/5":
			if row.Size != 0 {
				t.Errorf("a directory has the size %d", row.Size)
			}
		}
	}
}

func TestFiles_4_5_Errors(t *testing.T) {
	f := newFixture(t, validControl())
	f.must(os.Symlink(t.TempDir(), f.at("pg_tblspc/16401")))                // not mounted
	f.must(os.Symlink(filepath.Join(f.path, "no"), f.at("pg_tblspc/1642"))) // dangling
	d := f.open()
	for tablespace, want := range map[string]string{
		"16400": protocol.CodeUndefinedObject, "/nowhere": protocol.CodeUndefinedObject, "base": protocol.CodeUndefinedObject,
		"16401": protocol.CodeIOError, "1642": protocol.CodeIOError,
	} {
		last := error(nil)
		for _, err := range d.Files(t.Context(), tablespace, nil) {
			last = err
		}
		if code(last) != want {
			t.Errorf("tablespace %s: error %v, want %s", tablespace, last, want)
		}
	}
	for _, name := range []string{"16401", "1642"} {
		if _, err := d.Open(t.Context(), "pg_tblspc/"+name+"/PG_15_202209061/5/1", protocol.OpenOptions{}); code(err) != protocol.CodeIOError {
			t.Errorf("a file of the tablespace %s: error %v, want 58030", name, err)
		}
	}
}

// PostgreSQL skips a link with a warning. Where it stands for a part of the cluster,
// the backup would lack that part.
func TestFiles_4_5_LinkInTheClustersPlace(t *testing.T) {
	for _, name := range []string{"base", "base/6", "base/5/1259", "pg_xact", "pg_multixact/members"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, validControl())
			moved := t.TempDir()
			if name == "base" {
				f.must(os.Rename(f.at(name), moved+"/"+name))
			}
			f.must(os.MkdirAll(filepath.Dir(f.at(name)), 0o700))
			f.must(os.Symlink(moved+"/"+name, f.at(name)))
			d := f.open()
			last := error(nil)
			for _, err := range d.Files(t.Context(), "", func(*protocol.Error) {}) {
				last = err
			}
			if code(last) != protocol.CodeIOError {
				t.Errorf("error %v, want 58030", last)
			}
		})
	}
}

func TestTablespaces_4_4_RelativeLink(t *testing.T) {
	f := newFixture(t, validControl())
	location := t.TempDir()
	relative, err := filepath.Rel(f.at("pg_tblspc"), location)
	f.must(err)
	f.must(os.MkdirAll(location+"/PG_15_202209061/5", 0o700))
	f.must(os.WriteFile(location+"/PG_15_202209061/5/16600", nil, 0o600))
	f.must(os.Symlink(relative, f.at("pg_tblspc/16404")))
	d := f.open()
	got, err := d.Tablespaces(t.Context(), false)
	f.must(err)
	want := []protocol.Tablespace{{OID: 16404, Location: location, Size: -1}, {Size: -1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tablespaces (-want +got):\n%s", diff)
	}
	file, err := d.Open(t.Context(), "pg_tblspc/16404/PG_15_202209061/5/16600", protocol.OpenOptions{})
	f.must(err)
	f.must(file.Close())
}

func TestFiles_Cancelled(t *testing.T) {
	f := newFixture(t, validControl())
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	stop := errors.New("enough")
	var last error
	for _, err := range f.open().Files(ctx, "", nil) {
		cancel(stop)
		last = err
	}
	if last != stop {
		t.Errorf("error %v, want the cause", last)
	}
}

// Files that vanish and appear while the listing goes on are no error.
func TestFiles_Vanishing(t *testing.T) {
	f := newFixture(t, validControl())
	for i := range 3000 {
		f.write(fmt.Sprintf("base/5/%d", i+1), nil)
	}
	f.write("base/6/1", nil)
	removed := 0
	for row, err := range f.open().Files(t.Context(), "", nil) {
		f.must(err)
		for _, database := range []string{"base/5", "base/6"} { // the one in its middle, the other at its beginning
			if path, within := strings.CutPrefix(row.Path, database); within && (path != "" || database == "base/6") {
				removed++
				f.must(os.RemoveAll(f.at(database)))
			}
		}
	}
	if removed < 2 {
		t.Error("nothing was removed")
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	return len(entries)
}

func TestFiles_BreakClosesDirectories(t *testing.T) {
	f, _ := tree(t, validControl())
	d := f.open()
	before := descriptors(t)
	for _, tablespace := range []string{"", "16401"} {
		rows := 0
		for range d.Files(t.Context(), tablespace, func(*protocol.Error) {}) {
			if rows++; rows == 2 {
				break
			}
		}
	}
	_, _ = d.Open(t.Context(), "pg_tblspc/16401/PG_15_202209061/5", protocol.OpenOptions{})
	_, _ = d.Open(t.Context(), "pg_wal/000000010000000000000001", protocol.OpenOptions{})
	_, _ = d.Open(t.Context(), "fifo", protocol.OpenOptions{})
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func TestFiles_4_5_Memory_Long(t *testing.T) {
	longtest.Mark(t)
	f := newFixture(t, validControl())
	const databases = 30 // of a directory, its names are remembered until it is done
	for i := range 30000 {
		name := fmt.Sprintf("base/%d/%d", i%databases+1, i+1)
		f.must(os.MkdirAll(filepath.Dir(f.at(name)), 0o700))
		f.must(unix.Mknod(f.at(name), unix.S_IFREG|0o600, 0))
	}
	var lowest, highest uint64
	rows := 0
	for _, err := range f.open().Files(t.Context(), "", nil) {
		f.must(err)
		if rows++; rows%5000 != 0 {
			continue
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if lowest == 0 {
			lowest = m.HeapAlloc
		}
		lowest, highest = min(lowest, m.HeapAlloc), max(highest, m.HeapAlloc)
	}
	if rows < 30000 || highest-lowest > 256<<10 {
		t.Errorf("the heap went from %d to %d bytes over %d rows", lowest, highest, rows)
	}
}

func TestTablespaces_4_4(t *testing.T) {
	f, location := tree(t, validControl())
	d := f.open()
	want := []protocol.Tablespace{
		{OID: 16401, Location: location, Size: -1},
		{OID: 16402, Location: "pg_tblspc/16402", Size: -1},
		{OID: 16403, Location: f.at("inside"), Size: -1},
		{Size: -1},
	}
	got, err := d.Tablespaces(t.Context(), false)
	f.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without sizes (-want +got):\n%s", diff)
	}
	f.must(os.WriteFile(location+"/PG_15_202209061/5/16600", make([]byte, 5*1024), 0o600))
	f.must(os.WriteFile(location+"/other", make([]byte, 100*1024), 0o600))
	f.write("base/5/16385", make([]byte, 200*1024))
	f.write("base/5/t3_16390", make([]byte, 1<<20))
	got, err = d.Tablespaces(t.Context(), true)
	f.must(err)
	if got[0].Size != 5 || got[3].Size < 208 || got[3].Size > 209 || !got[1].InPlace() || got[2].InPlace() {
		t.Errorf("with sizes: %+v", got)
	}
}
