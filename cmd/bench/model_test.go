package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestModel(t *testing.T) {
	m := model{link: 10e9, rtt: 10 * time.Millisecond, window: 1e6, serverCost: 0.5e-9, clientCost: 1e-9, cores: 8, disk: 20e9}
	for _, test := range []struct {
		name string
		m    func(*model)
		jobs int
		want bound
	}{
		{"window", func(*model) {}, 4, bound{0.4e9, "window"}},
		{"many connections", func(*model) {}, 64, bound{6.4e9, "window"}},
		{"client", func(m *model) { m.rtt = 0 }, 4, bound{4e9, "client's CPU"}},
		{"cores", func(m *model) { m.rtt = 0 }, 64, bound{8e9, "client's CPU"}},
		{"line", func(m *model) { m.rtt, m.cores = 0, 64 }, 64, bound{10e9, "line"}},
		{"disk", func(m *model) { m.rtt, m.cores, m.disk = 0, 64, 3e9 }, 64, bound{3e9, "disk"}},
		{"server", func(m *model) { m.rtt, m.serverCost = 0, 2e-9 }, 2, bound{1e9, "server's CPU"}},
	} {
		changed := m
		test.m(&changed)
		if got := changed.at(test.jobs); got.by != test.want.by || got.rate/test.want.rate < 0.999 || got.rate/test.want.rate > 1.001 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if got := m.knee(64); got != 61 {
		t.Errorf("the knee of a window is at %d, want 61, 95 %% of 64", got)
	}
	m.rtt = 0
	if got := m.knee(64); got != 8 {
		t.Errorf("the knee of 8 cores is at %d", got)
	}
}

func TestRunModel(t *testing.T) {
	var text strings.Builder
	must(t, runModel(strings.Fields("-server 0.5 -client 1 -cores 4 -rtt 0 -disk 10GB -rates 1Gbit,100Gbit"), &text, io.Discard))
	const want = `| line    | -j 1, GB/s | -j 4, GB/s | -j 16, GB/s | -j 64, GB/s | knee at | what bounds it |
| ------- | ---------: | ---------: | ----------: | ----------: | ------: | -------------: |
| 1Gbit   |       0.12 |       0.12 |        0.12 |        0.12 |    -j 1 |           line |
| 100Gbit |       1.00 |       4.00 |        4.00 |        4.00 |    -j 4 |   client's CPU |
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for _, args := range []string{"-server 0", "-client -1", "-cores 0", "-rates 1", "x"} {
		if err := runModel(strings.Fields(args), &text, io.Discard); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}
