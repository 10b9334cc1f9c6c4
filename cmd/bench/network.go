package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// networkOptions say over which lines backups are taken.
type networkOptions struct {
	size       byteSize
	span       time.Duration
	rounds     int
	jobs       jobList
	rates      bitRates
	rtts       durations
	tmpfs      string
	pgparallel string
}

func (o *networkOptions) parse(args []string, errors io.Writer) error {
	*o = networkOptions{size: 1e9, jobs: jobList{1, 2, 4, 8, 16}, rates: bitRates{1e8, 1e9, 1e10}, rtts: durations{time.Millisecond, 10 * time.Millisecond}}
	flags := newFlagSet("bench network", errors)
	flags.Var(&o.rates, "rates", "of the lines, as 100Mbit or 10Gbit")
	flags.Var(&o.rtts, "rtts", "round trips, as 1ms")
	flags.Var(&o.jobs, "jobs", "values of -j")
	flags.Var(&o.size, "size", "bytes of the largest cluster, as 200MB or 2GB")
	flags.DurationVar(&o.span, "span", 4*time.Second, "how long a full line takes for a cluster")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds, of which the median is told")
	flags.StringVar(&o.tmpfs, "tmpfs", "/dev/shm", "a directory in memory")
	flags.StringVar(&o.pgparallel, "pgparallel", "", "the program to measure (default: it is built)")
	if err := parse(flags, args); err != nil {
		return err
	}
	if o.rounds < 1 || o.size < 1e6 || o.span <= 0 {
		return fmt.Errorf("-rounds=%d, -size=%d, -span=%v: at least 1, 1MB, and more than 0", o.rounds, o.size, o.span)
	}
	return isDirectory("tmpfs", o.tmpfs)
}

// runNetwork takes backups over lines of several rates and round trips: with pg_basebackup, and
// over more and more connections. What was measured is told also when something failed then.
func runNetwork(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	n := network{progress: progress}
	if err := n.parse(args, progress); err != nil {
		return err
	}
	all, err := postgres.All()
	if err != nil {
		return err
	}
	n.programs = (&bench{programs: all}).programsOf(mainMajor)
	program, cleanUp, err := buildPgparallel(ctx, n.networkOptions.pgparallel)
	if err != nil {
		return err
	}
	defer cleanUp()
	n.pgparallel = program
	if n.hosts, err = newHosts(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.hosts.close()) }()
	machine := describeMachine(time.Now())
	for _, rate := range n.rates {
		if err = n.measure(ctx, rate); err != nil {
			break
		}
	}
	if len(n.rows) > 0 {
		n.report(stdout, machine)
	}
	return err
}

type network struct {
	networkOptions
	programs   postgres.Programs
	pgparallel string
	hosts      *hosts
	progress   io.Writer
	rows       [][]string
}

// measure takes backups over lines of one rate, of a cluster that fills them for a while.
func (n *network) measure(ctx context.Context, rate int64) (err error) {
	first := link{rate, n.rtts[0]}
	if err := n.hosts.connect(ctx, first); err != nil { // PostgreSQL wants to find its address
		return err
	}
	size := min(n.size, byteSize(float64(first.bytesPerSecond())*n.span.Seconds()))
	s, err := newSource(ctx, n.programs, sourceOptions{
		parent: n.tmpfs, fill: fillLarge(size), addresses: []string{n.hosts.address}, peers: n.hosts.peer,
	})
	if err != nil {
		return errors.Join(err, n.hosts.disconnect())
	}
	defer func() { err = errors.Join(err, s.close(), n.hosts.disconnect()) }()
	hba := filepath.Join(s.top, "hba.conf")
	if err := os.WriteFile(hba, []byte("host replication postgres "+n.hosts.peer+"/32 trust insecure=1\n"), 0o644); err != nil {
		return err
	}
	if err := s.startServe(ctx, n.pgparallel, n.hosts.address, hba); err != nil {
		return err
	}
	for i, rtt := range n.rtts {
		l := link{rate, rtt}
		if i > 0 {
			if err := errors.Join(n.hosts.disconnect(), n.hosts.connect(ctx, l)); err != nil {
				return err
			}
		}
		if err := n.overLink(ctx, s, l); err != nil {
			return fmt.Errorf("%s, %v: %w", bitRates{rate}.String(), rtt, err)
		}
	}
	return nil
}

// overLink has each program take a backup in each round.
func (n *network) overLink(ctx context.Context, s *source, l link) error {
	subjects := []*subject{s.pgBasebackup(endpoint{"TCP", n.hosts.address, s.cluster.Port, "disable"}, noSync)}
	for _, jobs := range n.jobs {
		subjects = append(subjects, s.pgparallel(endpoint{"TCP", n.hosts.address, s.serve.port, "disable"}, jobs, noSync))
	}
	target := filepath.Join(s.top, "backup")
	row := []string{bitRates{l.bitsPerSecond}.String(), l.rtt.String(), inUnits(s.data.bytes), fmt.Sprintf("%.0f", float64(l.bytesPerSecond())/1e6)}
	for round := range n.rounds {
		for _, subject := range subjects {
			if err := os.RemoveAll(target); err != nil {
				return err
			}
			taken, err := n.take(ctx, s, subject, target)
			if err != nil {
				return err
			}
			subject.samples = append(subject.samples, taken)
			fmt.Fprintf(n.progress, "%d/%d %s %v: %s: %.2f s, CPU %.2f s\n", round+1, n.rounds, row[0], l.rtt, subject.program, taken.wall.Seconds(), taken.cpu().Seconds())
		}
	}
	for _, subject := range subjects {
		wall := median(subject.figures(func(one sample) time.Duration { return one.wall }))
		row = append(row, fmt.Sprintf("%.0f", float64(s.data.bytes)/1e6/wall.Seconds()))
	}
	n.rows = append(n.rows, row)
	return nil
}

func (n *network) take(ctx context.Context, s *source, of *subject, target string) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return s.meter(of).run(ctx, n.hosts.on(ctx, of.client(ctx, target)))
}

func (n *network) report(w io.Writer, machine string) {
	header := []string{"line", "round trip", "data", "line, MB/s", "pg_basebackup " + fmt.Sprint(n.programs.Major)}
	for _, jobs := range n.jobs {
		header = append(header, fmt.Sprintf("-j %d", jobs))
	}
	table{header: header, right: len(header) - 2, rows: n.rows}.write(w)
	fmt.Fprintf(w, "\nMB of the cluster a second of wall time, medians of %d rounds; %s, congestion control %s. "+
		"The line is a process on the same CPUs.\n", n.rounds, machine, strings.TrimSpace(readSystem("/proc/sys/net/ipv4/tcp_congestion_control")))
}
