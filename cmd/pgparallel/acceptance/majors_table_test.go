package acceptance_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// majorTable is the outcome of testMajors: a row a version, a column a test. Versions that
// are tested side by side may add their rows at any time.
type majorTable struct {
	mu   sync.Mutex
	rows []*majorRow
}

// majorRow is what was tested of one version.
type majorRow struct {
	major           int
	version, judges string
	columns         []string
	cells           map[string]string
}

func (t *majorTable) add(p postgres.Programs) *majorRow {
	r := &majorRow{major: p.Major, version: p.Version, cells: make(map[string]string)}
	for _, name := range []string{"pg_verifybackup", "pg_amcheck"} {
		if p.Has(name) {
			r.judges += " " + name
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
	return r
}

// note takes down how a test ended.
func (r *majorRow) note(test string, t *testing.T, took time.Duration) {
	outcome := fmt.Sprintf("%.1f s", took.Seconds())
	switch {
	case t.Failed():
		outcome = "FAIL"
	case t.Skipped():
		outcome = "-"
	}
	r.columns = append(r.columns, test)
	r.cells[test] = outcome
}

// String is the table, when all rows are complete. A test that did not run has a dash.
func (t *majorTable) String() string {
	slices.SortFunc(t.rows, func(a, b *majorRow) int { return a.major - b.major })
	var columns []string
	for _, r := range t.rows {
		for _, c := range r.columns {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
			}
		}
	}
	text := &strings.Builder{}
	line := func(version string, cell func(string) string, judges string) {
		fmt.Fprintf(text, "%-10s", version)
		for _, c := range columns {
			fmt.Fprintf(text, "  %-*s", len(c), cell(c))
		}
		fmt.Fprintf(text, "  %s\n", strings.TrimSpace(judges))
	}
	line("PostgreSQL", func(column string) string { return column }, "its own judges")
	for _, r := range t.rows {
		line(r.version, func(column string) string {
			if cell, tested := r.cells[column]; tested {
				return cell
			}
			return "-"
		}, r.judges)
	}
	return text.String()
}
