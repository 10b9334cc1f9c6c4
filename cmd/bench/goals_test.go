package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBench_Goals(t *testing.T) {
	stock := &subject{path: "unix", program: "pg_basebackup 18"}
	fast := &subject{path: "unix", program: "pgparallel -j 4", against: stock}
	slow := &subject{path: "TCP", program: "pgparallel -j 4", against: stock}
	many := &subject{path: "unix", program: "pgparallel -j 8", against: stock}
	for range fewestRounds {
		stock.samples = append(stock.samples, sample{wall: 4 * time.Second, serverCPU: 4 * time.Second})
		fast.samples = append(fast.samples, sample{wall: time.Second, serverCPU: 3 * time.Second})
		slow.samples = append(slow.samples, sample{wall: time.Duration(1+len(slow.samples)*3) * time.Second, serverCPU: time.Second})
		many.samples = append(many.samples, sample{servePeak: 30e6, clientPeak: 33e6})
	}
	b := bench{measured: []*comparison{
		{goal: goalReflink, subjects: []*subject{stock}},
		{goal: goalMemory, subjects: []*subject{stock, fast, slow, many}},
	}}
	want := [][]string{
		{"Unix socket, -j 4: wall", "0.60", "yes: 0.25"},
		{"Unix socket, -j 4: CPU", "0.60", "no: 0.75"},
		{"TCP, -j 4: wall", "0.62", "not known: scatters 75 %"},
		{"TCP, -j 4: CPU", "0.65", "yes: 0.25"},
		{"memory of the server, -j 8", "32 MB", "yes: 30 MB"},
		{"memory of the client, -j 8", "32 MB", "no: 33 MB"},
	}
	if diff := cmp.Diff(want, b.goals()); diff != "" {
		t.Errorf("goals (-want +got):\n%s", diff)
	}
}
