package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// comparison is what takes turns: the subjects of one source, which all copy to one place.
type comparison struct {
	source   *source
	parent   string        // of the target
	onDisk   bool          // the target is on a disk, whose work must not lap over into the next turn
	keeps    bool          // what was copied is removed at the end of all turns, not ahead of the next
	to       string        // the target, in the table
	goal     string        // which goals of [goals] it decides; empty: none
	limit    time.Duration // how long it may take, if the fewest rounds are done; 0: as long as it takes
	subjects []*subject
}

// beside adds a subject that is compared with another one.
func (c *comparison) beside(baseline, s *subject) {
	s.against = baseline
	c.subjects = append(c.subjects, s)
}

// run lets each subject copy in each round, and in one before them that does not count. The rounds
// beyond the fewest are left out where they would last longer than the limit.
func (c *comparison) run(ctx context.Context, rounds int, progress io.Writer) error {
	top, err := c.source.programs.MkdirTemp(c.parent, "pgparallel-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	began := time.Now()
	for round := range rounds + 1 {
		took := time.Since(began)
		if c.limit > 0 && round > fewestRounds && took+took/time.Duration(round) > c.limit {
			fmt.Fprintf(progress, "no more rounds to %s: they would last longer than %v\n", c.to, c.limit.Round(time.Second))
			break
		}
		for _, s := range c.subjects {
			taken, err := c.turn(ctx, s, top)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", s.program, s.path, err)
			}
			of := fmt.Sprintf("%d/%d", round, rounds)
			if round > 0 {
				s.samples = append(s.samples, taken)
			} else {
				of = "warm-up"
			}
			fmt.Fprintf(progress, "%-8s PostgreSQL %d to %s: %s, %s: %.2f s, CPU %.2f + %.2f s\n", of, c.source.programs.Major,
				c.to, s.path, s.program, taken.wall.Seconds(), taken.serverCPU.Seconds(), taken.clientCPU.Seconds())
		}
	}
	return nil
}

// dropUnfinishedRound leaves each subject with its samples of the rounds that all have taken part in,
// and says how many these are.
func (c *comparison) dropUnfinishedRound() (whole int) {
	whole = len(c.subjects[0].samples)
	for _, s := range c.subjects {
		whole = min(whole, len(s.samples))
	}
	for _, s := range c.subjects {
		s.samples = s.samples[:whole]
	}
	return whole
}

// turn measures one copy, which it makes in the directory top.
//
// Many files on an ext4 stay there until the end. To make a file, ext4 keeps off the inodes that
// were removed in the last minutes, and looks at them one by one (recently_deleted in its
// ialloc.c): where as many files have just gone, that takes longer than all else. A file system
// of its own in a file would bear no comparison either: there each fsync(2), of which
// pg_basebackup needs one a file, waits for the file system below as well.
func (c *comparison) turn(ctx context.Context, s *subject, top string) (sample, error) {
	target := filepath.Join(top, "backup")
	if c.keeps {
		var err error
		if target, err = c.newTarget(top); err != nil {
			return sample{}, err
		}
	} else if err := os.RemoveAll(target); err != nil {
		return sample{}, err
	}
	if c.onDisk {
		syscall.Sync()
	}
	if s.prepare != nil {
		if err := s.prepare(ctx, target); err != nil {
			return sample{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return c.source.meter(s).run(ctx, s.client(ctx, target))
}

// newTarget is a target beside those that are kept.
func (c *comparison) newTarget(top string) (string, error) {
	dir, err := c.source.programs.MkdirTemp(top, "turn-")
	return filepath.Join(dir, "backup"), err
}

// rows are the comparison's part of the table.
func (c *comparison) rows() [][]string {
	data := c.source.data
	what := fmt.Sprintf("PostgreSQL %d, %s, %d files, to %s", c.source.programs.Major, inUnits(data.bytes), data.files, c.to)
	var rows [][]string
	for _, s := range c.subjects {
		rows = append(rows, append([]string{what}, s.cells()...))
		what = ""
	}
	return rows
}

// header names the cells of rows.
var header = []string{"data", "path", "program", "wall, s", "CPU, s", "wall ratio", "CPU ratio", "memory, MB"}

// textColumns is how many of the columns are text.
const textColumns = 3

func (s *subject) cells() []string {
	return []string{
		s.path, s.program,
		medianAndLeast(s.figures(wallOf)),
		medianAndLeast(s.figures(sample.cpu)),
		s.ratio(wallOf).String(),
		s.ratio(sample.cpu).String(),
		fmt.Sprintf("%d + %d", s.peak(sample.serverPeak), s.peak(func(one sample) int64 { return one.clientPeak })),
	}
}

// peak is the median of the peaks, in MB.
func (s *subject) peak(of func(sample) int64) int64 {
	var peaks []int64
	for _, one := range s.samples {
		peaks = append(peaks, of(one))
	}
	return (median(peaks) + 5e5) / 1e6
}

func medianAndLeast(figures []time.Duration) string {
	least := figures[0]
	for _, one := range figures {
		least = min(least, one)
	}
	return fmt.Sprintf("%.2f (%.2f)", median(figures).Seconds(), least.Seconds())
}
