package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The cells of a table, from samples that are given.
func TestComparison_Rows(t *testing.T) {
	taken := func(path, program string, against *subject, samples ...sample) *subject {
		return &subject{path: path, program: program, against: against, samples: samples}
	}
	one := sample{wall: time.Second, serverCPU: time.Second, clientCPU: time.Second, backendsPeak: 30e6, clientPeak: 9.6e6}
	two := sample{wall: 2 * time.Second, serverCPU: 3 * time.Second, clientCPU: 2 * time.Second, backendsPeak: 31e6, clientPeak: 9.4e6}
	half := sample{wall: 500 * time.Millisecond, serverCPU: time.Second, clientCPU: 0, servePeak: 20e6, backendsPeak: 60e6, clientPeak: 5e6}
	stock := taken("unix", "pg_basebackup 18", nil, two, one, one)
	c := comparison{
		source:   &source{programs: postgres.Programs{Major: 18}, data: contents{files: 12, bytes: 1.6e9}},
		to:       "tmpfs, -N",
		subjects: []*subject{stock, taken("unix", "pgparallel -j 4", stock, half, half, half)},
	}
	want := [][]string{
		{"PostgreSQL 18, 1.6GB, 12 files, to tmpfs, -N", "unix", "pg_basebackup 18", "1.00 (1.00)", "2.00 (2.00)", "1.00", "1.00", "30 + 10"},
		{"", "unix", "pgparallel -j 4", "0.50 (0.50)", "1.00 (1.00)", "scatters 25 %", "scatters 30 %", "20 + 5"},
	}
	if diff := cmp.Diff(want, c.rows()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(header) != len(want[0]) {
		t.Errorf("%d columns have a name, of %d", len(header), len(want[0]))
	}
}

func TestComparison_DropUnfinishedRound(t *testing.T) {
	c := comparison{subjects: []*subject{{samples: make([]sample, 3)}, {samples: make([]sample, 2)}}}
	if whole := c.dropUnfinishedRound(); whole != 2 || len(c.subjects[0].samples) != 2 || len(c.subjects[1].samples) != 2 {
		t.Errorf("%d rounds are whole, %d and %d are left", whole, len(c.subjects[0].samples), len(c.subjects[1].samples))
	}
	c.subjects[1].samples = nil
	if whole := c.dropUnfinishedRound(); whole != 0 {
		t.Errorf("%d rounds are whole, and one subject has none", whole)
	}
}
