package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// sample is what one backup cost.
type sample struct {
	wall                 time.Duration // from the start of the client to its end
	serverCPU, clientCPU time.Duration // user and system
	servePeak            int64         // memory of pgparallel serve, in bytes; 0: it is not the server
	backendsPeak         int64         // of what PostgreSQL started, summed up; in each there is memory that all share
	clientPeak           int64         // of the client's processes, summed up
}

func (s sample) cpu() time.Duration { return s.serverCPU + s.clientCPU }

func wallOf(s sample) time.Duration { return s.wall }

// serverPeak is the memory of the program that sends the files.
func (s sample) serverPeak() int64 {
	if s.servePeak > 0 {
		return s.servePeak
	}
	return s.backendsPeak
}

// meter measures programs that copy a cluster.
//
// The CPU time of the server is that of PostgreSQL as a whole, all its processes, those that have
// ended included: a walsender counts through the postmaster, which has waited for it. Where
// "pgparallel serve" is asked, its own time is added. The client's is the kernel's account of the
// program and of the children that it has waited for, such as the one with which pg_basebackup
// receives WAL.
//
// Memory is VmHWM, read again and again: the kernel's account of a process that has ended
// (ru_maxrss) holds what bench itself had when it started the process.
type meter struct {
	postmaster int // 0: no PostgreSQL is asked
	serve      int // 0: PostgreSQL alone is the server
}

// run runs the client and waits until the server has nothing left of it.
func (m meter) run(ctx context.Context, client *exec.Cmd) (sample, error) {
	before := m.backends()
	if m.serve != 0 {
		if err := forgetPeak(m.serve); err != nil {
			return sample{}, err
		}
	}
	began, err := m.serverCPU()
	if err != nil {
		return sample{}, err
	}
	s, err := m.watch(client, before)
	if err != nil {
		return s, err
	}
	if err := m.awaitReaped(ctx, before); err != nil {
		return s, err
	}
	ended, err := m.serverCPU()
	s.serverCPU = ended - began
	return s, err
}

// watch runs the client; all but serverCPU is in its sample.
func (m meter) watch(client *exec.Cmd, before []int) (s sample, err error) {
	var said bytes.Buffer
	client.Stdout, client.Stderr = &said, &said
	began := time.Now()
	if err := client.Start(); err != nil {
		return s, err
	}
	ended := make(chan error, 1)
	go func() { ended <- client.Wait() }() // ends with the client
	backends, clients := peaks{}, peaks{}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for running := true; running; {
		backends.look(m.startedSince(before))
		clients.look(descendantsOf(client.Process.Pid))
		select {
		case err = <-ended:
			s.wall, running = time.Since(began), false
		case <-ticker.C:
		}
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w\n%s", strings.Join(client.Args, " "), err, tail(said.String(), 2000))
	}
	s.clientCPU = client.ProcessState.UserTime() + client.ProcessState.SystemTime()
	s.backendsPeak, s.clientPeak = backends.sum(), clients.sum()
	if m.serve != 0 {
		s.servePeak = peakOf(m.serve)
	}
	return s, nil
}

// startedSince is what PostgreSQL has started for the client and what has not ended.
func (m meter) startedSince(before []int) []int {
	return slices.DeleteFunc(m.backends(), func(pid int) bool { return slices.Contains(before, pid) })
}

// backends are the processes of PostgreSQL but those that come and go on their own.
func (m meter) backends() []int {
	if m.postmaster == 0 {
		return nil
	}
	return slices.DeleteFunc(childrenOf(m.postmaster), func(pid int) bool {
		title := titleOf(pid)
		return strings.Contains(title, "io worker") || strings.Contains(title, "autovacuum worker")
	})
}

func (m meter) serverCPU() (time.Duration, error) {
	sum := time.Duration(0)
	for _, pid := range []int{m.postmaster, m.serve} {
		if pid == 0 {
			continue
		}
		cpu, err := treeCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

// awaitReaped waits until PostgreSQL has ended what it had started for the client.
func (m meter) awaitReaped(ctx context.Context, before []int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		left := m.startedSince(before)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server to end %q: %w", titleOf(left[0]), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// peaks is the highest memory that was seen of each process, in bytes.
type peaks map[int]int64

func (p peaks) look(pids []int) {
	for _, pid := range pids {
		p[pid] = max(p[pid], peakOf(pid))
	}
}

func (p peaks) sum() (bytes int64) {
	for _, peak := range p {
		bytes += peak
	}
	return bytes
}

// tail is the end of a text that may be long.
func tail(text string, most int) string {
	text = strings.TrimSpace(text)
	return text[max(len(text)-most, 0):]
}
