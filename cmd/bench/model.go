package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// model is what bounds a backup of large files, on paper. All rates are in bytes a second.
type model struct {
	link                   float64 // what the line carries
	rtt                    time.Duration
	window                 float64 // bytes that a connection has on the way at the most
	serverCost, clientCost float64 // CPU time, in seconds a byte
	cores                  int     // of each end
	disk                   float64 // the slower of the server's reads and the client's writes
}

// bound is a rate that a backup does not exceed, and what sets it.
type bound struct {
	rate float64
	by   string
}

// at is the lowest bound with so many connections. A connection has one goroutine at each end that
// does its work, so that it keeps one core busy there at the most.
func (m model) at(jobs int) bound {
	cores := float64(min(jobs, m.cores))
	bounds := []bound{
		{m.link, "line"},
		{cores / m.serverCost, "server's CPU"},
		{cores / m.clientCost, "client's CPU"},
		{m.disk, "disk"},
	}
	if m.rtt > 0 {
		bounds = append(bounds, bound{float64(jobs) * m.window / m.rtt.Seconds(), "window"})
	}
	return slices.MinFunc(bounds, func(a, b bound) int {
		switch {
		case a.rate < b.rate:
			return -1
		case a.rate > b.rate:
			return 1
		}
		return 0
	})
}

// knee is the fewest connections with which a backup is within 5 % of the fastest one with most.
func (m model) knee(most int) int {
	for jobs := 1; ; jobs++ {
		if jobs == most || m.at(jobs).rate >= 0.95*m.at(most).rate {
			return jobs
		}
	}
}

// modelJobs are the columns of the model's table.
var modelJobs = []int{1, 4, 16, 64}

// runModel prints the model of lines up to 100 Gbit/s.
func runModel(args []string, stdout, progress io.Writer) error {
	m := model{rtt: time.Millisecond}
	server, client, disk, window := 0.6, 1.0, byteSize(10e9), byteSize(4e6)
	rates := bitRates{1e9, 1e10, 2.5e10, 4e10, 1e11}
	flags := newFlagSet("bench model", progress)
	flags.Float64Var(&server, "server", server, "CPU time of the server, in seconds a GB, as measured")
	flags.Float64Var(&client, "client", client, "CPU time of the client, in seconds a GB, as measured")
	flags.IntVar(&m.cores, "cores", 64, "cores of each end")
	flags.DurationVar(&m.rtt, "rtt", m.rtt, "round trip")
	flags.Var(&window, "window", "bytes that a connection has on the way at the most")
	flags.Var(&disk, "disk", "bytes a second of the disks")
	flags.Var(&rates, "rates", "of the lines")
	if err := parse(flags, args); err != nil {
		return err
	}
	if server <= 0 || client <= 0 || m.cores < 1 || m.rtt < 0 {
		return fmt.Errorf("-server=%v, -client=%v, -cores=%d, -rtt=%v must be more than 0", server, client, m.cores, m.rtt)
	}
	m.serverCost, m.clientCost, m.disk, m.window = server/1e9, client/1e9, float64(disk), float64(window)
	m.table(rates).write(stdout)
	return nil
}

func (m model) table(rates bitRates) table {
	t := table{header: []string{"line"}, right: len(modelJobs) + 2}
	for _, jobs := range modelJobs {
		t.header = append(t.header, fmt.Sprintf("-j %d, GB/s", jobs))
	}
	t.header = append(t.header, "knee at", "what bounds it")
	most := modelJobs[len(modelJobs)-1]
	for _, rate := range rates {
		// Of 1538 bytes on an Ethernet 1448 are data.
		m.link = float64(rate) / 8 * 1448 / 1538
		row := []string{bitRates{rate}.String()}
		for _, jobs := range modelJobs {
			row = append(row, fmt.Sprintf("%.2f", m.at(jobs).rate/1e9))
		}
		t.rows = append(t.rows, append(row, "-j "+strconv.Itoa(m.knee(most)), m.at(most).by))
	}
	return t
}
