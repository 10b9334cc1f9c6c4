package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// A cluster of many small files is listed and backed up, and the server's memory does not
// grow with their number. It needs no PostgreSQL.
func TestManyFiles_MemoryDoesNotGrow_Long(t *testing.T) {
	longtest.Mark(t)
	testManyFiles(t, 200_000)
}

// TestManyFiles has so few files that their memory would hardly show.
func TestManyFiles(t *testing.T) {
	testManyFiles(t, 10_000)
}

func testManyFiles(t *testing.T, files int) {
	const most = 30 << 10 // kB; the names of the largest directory are held while it is read
	base := t.TempDir()
	data, dir := filepath.Join(base, "data"), filepath.Join(base, "copy")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, SmallFiles: files}.Write(data))
	s := serve(t, data)

	before := memory(t, s, "VmRSS")
	if rows := countFiles(t, s); rows <= files {
		t.Errorf("%d rows are listed, want more than %d", rows, files)
	}
	listed := memory(t, s, "VmHWM") - before
	if listed >= most {
		t.Errorf("LIST_FILES makes the server grow by %d kB", listed)
	}

	began := time.Now()
	b := succeed(t, backup(t, s.socketDir, dir, "-j", "4", "--no-sync"))
	took := time.Since(began)
	copied := memory(t, s, "VmHWM") - before
	if copied >= most {
		t.Errorf("a backup makes the server grow by %d kB", copied)
	}
	verified := succeed(t, command(t, "verify", "-j", "2", dir))
	if got := verified.stdout.String(); got != "backup successfully verified\n" {
		t.Errorf("verify says %q", got)
	}
	t.Logf("the server has %d kB, %d kB more after LIST_FILES, %d kB more after a backup in %v; the client has %d kB",
		before, listed, copied, took, b.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

// countFiles is the number of rows of LIST_FILES, which are read one by one.
func countFiles(t *testing.T, s *server) int {
	t.Helper()
	ctx := t.Context()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=5433 user=postgres replication=true", s.socketDir))
	must(t, err)
	defer conn.Close(ctx)
	results, rows := conn.Exec(ctx, "LIST_FILES"), 0
	for results.NextResult() {
		reader := results.ResultReader()
		for reader.NextRow() {
			rows++
		}
		_, err := reader.Close()
		must(t, err)
	}
	must(t, results.Close())
	return rows
}

// memory is a value of the kernel's about the server's memory, in kB.
func memory(t *testing.T, s *server, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if os.IsNotExist(err) {
		t.Skip("the kernel does not tell how much memory a process has")
	}
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kB, err := strconv.Atoi(strings.Fields(value)[0])
			must(t, err)
			return kB
		}
	}
	t.Fatalf("no %s in the server's status:\n%s", name, status)
	return 0
}
