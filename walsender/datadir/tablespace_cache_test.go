package datadir

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// manyTablespaces makes a cluster with so many, whose pg_tblspc changed long ago.
func manyTablespaces(t testing.TB, n int) *Dir {
	t.Helper()
	f, location := newFixture(t, validControl()), t.TempDir()
	f.write("log/server.log", nil)
	for i := range n {
		f.must(os.Symlink(location, f.at("pg_tblspc/"+strconv.Itoa(16384+i))))
	}
	time.Sleep(cacheAge + 10*time.Millisecond) // nobody can set a ctime
	return f.open()
}

// openLog opens a file whose path might lead through a tablespace's directory.
func openLog(t testing.TB, d *Dir) {
	t.Helper()
	file, err := d.Open(t.Context(), "log/server.log", protocol.OpenOptions{})
	must(t, err)
	must(t, file.Close())
}

// The cost of a command does not grow with the number of tablespaces. What is counted
// are allocations: each link that is read makes some.
func TestOpen_CostDoesNotGrowWithTablespaces(t *testing.T) {
	few, many := manyTablespaces(t, 1), manyTablespaces(t, 500)
	costs := make([]float64, 2)
	for i, d := range []*Dir{few, many} {
		openLog(t, d)
		costs[i] = testing.AllocsPerRun(10, func() { openLog(t, d) })
	}
	if costs[1] > costs[0]+5 {
		t.Errorf("%v allocations with 500 tablespaces, %v with one", costs[1], costs[0])
	}
	costs[0] = testing.AllocsPerRun(10, func() { _, _ = few.findTablespace("16384") })
	costs[1] = testing.AllocsPerRun(10, func() { _, _ = many.findTablespace("16883") })
	if costs[1] > costs[0]+5 {
		t.Errorf("finding one: %v allocations with 500 tablespaces, %v with one", costs[1], costs[0])
	}
}

func BenchmarkOpen_500Tablespaces(b *testing.B) {
	d := manyTablespaces(b, 500)
	b.ReportAllocs()
	for b.Loop() {
		openLog(b, d)
	}
}

// A tablespace that comes to lie in the data directory is known at once.
func TestOpen_TablespaceInsideComes(t *testing.T) {
	d := manyTablespaces(t, 1)
	f := fixture{t, d.path}
	f.write("inside/PG_15_202209061/5/1", nil)
	open := func() error {
		file, err := d.Open(t.Context(), "inside/PG_15_202209061/5/1", protocol.OpenOptions{})
		if err == nil {
			f.must(file.Close())
		}
		return err
	}
	f.must(open())
	f.must(os.Symlink(f.at("inside"), f.at("pg_tblspc/20000")))
	if err := open(); code(err) != protocol.CodeInsufficientPrivilege {
		t.Errorf("error %v, want 42501", err)
	}
	f.must(os.Remove(f.at("pg_tblspc/20000")))
	f.must(open())
}
