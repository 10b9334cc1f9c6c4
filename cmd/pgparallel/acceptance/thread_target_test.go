package acceptance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The tests in the files thread_*_test.go are the failures that were reported to
// pgsql-hackers of an earlier tool for parallel backups: it crashed, left files
// behind, or said that a backup was completed which was not.

// sample is a stopped cluster with a tablespace, which takes no PostgreSQL to make.
type sample struct{ dir, location string }

func newSample(t *testing.T) sample {
	t.Helper()
	base := t.TempDir()
	s := sample{dir: filepath.Join(base, "data"), location: filepath.Join(base, "space")}
	must(t, walsendertest.Sample{
		WALSegmentSize: 1 << 20,
		RelationPages:  40,
		SmallFiles:     100,
		Tablespaces:    []walsendertest.SampleTablespace{{OID: 16500, Location: s.location}},
	}.Write(s.dir))
	return s
}

// target is where a backup goes: a data directory, and that of the tablespace.
type target struct {
	base, dir, tablespace string
	before                []string // the tree of base
}

// newTarget makes a target below base, whose directories exist already, empty and
// with a mode of their own, or do not.
func newTarget(t *testing.T, base string, existed bool) target {
	t.Helper()
	to := target{base: base, dir: filepath.Join(base, "copy"), tablespace: filepath.Join(base, "more", "tbl")}
	if existed {
		for _, dir := range []string{to.dir, to.tablespace} {
			must(t, os.MkdirAll(dir, 0o700))
			must(t, os.Chmod(dir, 0o711))
		}
	}
	to.before = tree(t, base)
	return to
}

// options are those that every backup to the target has.
func (to target) options(location string, jobs int) []string {
	return []string{"-v", "--no-sync", "-c", "fast", "-j", fmt.Sprint(jobs), "-T", location + "=" + to.tablespace}
}

// checkUntouched checks that all is as it was.
func (to target) checkUntouched(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(to.before, tree(t, to.base)); diff != "" {
		t.Errorf("something is left (-before +after):\n%s", diff)
	}
}

// checkFailed checks that a backup failed as it should: with status 1, one error that
// holds one of the texts, no word of completion, and nothing left.
func (to target) checkFailed(t *testing.T, b *process, texts ...string) {
	t.Helper()
	said := b.stderr.String()
	_, failure, _ := strings.Cut(said, "error: ")
	holds := func(text string) bool { return strings.Contains(failure, text) }
	if b.status() != 1 || strings.Count(said, "error: ") != 1 || !slices.ContainsFunc(texts, holds) {
		t.Errorf("exit status %d, want 1 and one error with one of %q:\n%s", b.status(), texts, said)
	}
	for _, wrong := range []string{"backup completed", "panic", "goroutine "} {
		if strings.Contains(said, wrong) {
			t.Errorf("%q in what is said:\n%s", wrong, said)
		}
	}
	to.checkUntouched(t)
}

// checkWhole checks that a backup succeeded and is as it was taken, by client.Verify
// and, where it is installed, by PostgreSQL.
func (to target) checkWhole(t *testing.T, b *process) {
	t.Helper()
	said := b.stderr.String()
	if b.status() != 0 || strings.Contains(said, "error: ") || strings.Count(said, "base backup completed") != 1 {
		t.Fatalf("the backup failed, with exit status %d:\n%s", b.status(), said)
	}
	report, err := client.Verify(t.Context(), to.dir, client.VerifyOptions{})
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the backup is not as it was taken: %v %v", err, report.Problems)
	}
	if p, err := postgres.Find(); err == nil {
		must(t, p.Own(to.base))
		verifyBackup(t, p, to.dir)
	}
}

// reachable is a directory for targets that PostgreSQL's programs reach, where there
// are such programs.
func reachable(t *testing.T) string {
	t.Helper()
	if p, err := postgres.Find(); err == nil {
		return p.TempDir(t)
	}
	return t.TempDir()
}

// eachTarget runs a test with few workers and with many, with a target that is absent
// and with one that is empty.
func eachTarget(t *testing.T, test func(t *testing.T, jobs int, to target)) {
	for _, jobs := range []int{1, 8} {
		for _, existed := range []bool{false, true} {
			t.Run(fmt.Sprintf("-j %d, target exists %t", jobs, existed), func(t *testing.T) {
				test(t, jobs, newTarget(t, reachable(t), existed))
			})
		}
	}
}
