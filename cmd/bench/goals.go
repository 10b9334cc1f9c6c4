package main

import (
	"fmt"
	"slices"
)

// The comparisons that goals are decided by.
const (
	goalMemory    = "memory" // large files, to memory
	goalReflink   = "reflink"
	goalSmall     = "small"
	goalSmallSync = "small, with sync"
)

// goal is what a ratio is to be at the most.
type goal struct {
	name          string
	decidedBy     string // of comparisons
	path, program string
	wall, cpu     float64 // 0: any
}

// goals are those of this project. The ratios are to pg_basebackup of the comparison's major.
var goals = []goal{
	{"Unix socket, -j 4", goalMemory, "unix", "pgparallel -j 4", 0.60, 0.60},
	{"TCP, -j 4", goalMemory, "TCP", "pgparallel -j 4", 0.62, 0.65},
	{"TLS, -j 4", goalMemory, "TLS", "pgparallel -j 4", 0.70, 0.80},
	{"descriptors, memory to memory, -j 4", goalMemory, "descriptors", "pgparallel -j 4", 0.35, 0.45},
	{"descriptors, XFS with reflink, -j 4", goalReflink, "descriptors", "pgparallel -j 4", 0.20, 0.25},
	{"Unix socket, -j 1", goalMemory, "unix", "pgparallel -j 1", 0.75, 0.65},
	{"small files, -N, -j 4", goalSmall, "unix", "pgparallel -j 4", 0.60, 1.0},
	{"small files, with sync, -j 4", goalSmallSync, "unix", "pgparallel -j 4", 0.40, 1.0},
}

// mostMemory is what the server and the client may take, each, in MB.
const mostMemory = 32

var goalHeader = []string{"goal", "at most", "reached"}

// goals are rows that hold what was measured against what is wanted.
func (b *bench) goals() [][]string {
	var rows [][]string
	for _, g := range goals {
		s := b.find(g.decidedBy, g.path, g.program)
		if s == nil {
			continue
		}
		wall, cpu := s.ratio(wallOf), s.ratio(sample.cpu)
		rows = append(rows, []string{g.name + ": wall", fmt.Sprintf("%.2f", g.wall), wall.against(g.wall)},
			[]string{g.name + ": CPU", fmt.Sprintf("%.2f", g.cpu), cpu.against(g.cpu)})
	}
	if s := b.find(goalMemory, "unix", fmt.Sprintf("pgparallel -j %d", mostJobs)); s != nil {
		for _, end := range []struct {
			name string
			peak int64
		}{{"server", s.peak(sample.serverPeak)}, {"client", s.peak(func(one sample) int64 { return one.clientPeak })}} {
			rows = append(rows, []string{fmt.Sprintf("memory of the %s, -j %d", end.name, mostJobs), fmt.Sprintf("%d MB", mostMemory),
				verdict(end.peak <= mostMemory, fmt.Sprintf("%d MB", end.peak))})
		}
	}
	return rows
}

// find is a subject of a comparison, or nil.
func (b *bench) find(decidedBy, path, program string) *subject {
	for _, c := range b.measured {
		i := slices.IndexFunc(c.subjects, func(s *subject) bool { return s.path == path && s.program == program })
		if c.goal == decidedBy && i >= 0 {
			return c.subjects[i]
		}
	}
	return nil
}

// against holds a ratio against the most that it may be.
func (r ratio) against(most float64) string {
	if r.median == 0 || r.scatter > mostScatter {
		return "not known: " + r.String()
	}
	return verdict(r.median <= most, r.String())
}

func verdict(met bool, figure string) string {
	if met {
		return "yes: " + figure
	}
	return "no: " + figure
}

// share is the part of the time that a comparison may take.
func (c *comparison) share() float64 {
	switch {
	case c.goal == goalMemory:
		return 0.40
	case c.goal == goalSmallSync:
		return 0.16
	case c.goal == goalSmall, c.onDisk:
		return 0.10
	case c.goal == goalReflink:
		return 0.06
	}
	return 0.025 // another major
}
