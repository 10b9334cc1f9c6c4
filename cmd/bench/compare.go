package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// The majors that ratios are told of, where the machine has them: of large files and of small ones.
const mainMajor, smallMajor = 18, 15

// bench is a run that compares backups.
type bench struct {
	options
	progress io.Writer

	pgparallel string
	// noDescriptors are the arguments that keep files off descriptors; nil where pgparallel has
	// none.
	noDescriptors []string
	programs      []postgres.Programs // the oldest major first

	rows           [][]string
	measured       []*comparison
	notes          []string // what was left out, and why
	withPgBackRest bool     // it is in the table
}

// runCompare is bench without a mode. What was measured is told also when something failed then.
func runCompare(ctx context.Context, args []string, stdout, progress io.Writer) error {
	b := &bench{progress: progress}
	if err := b.parse(args, progress); err != nil {
		return err
	}
	began, machine := time.Now(), describeMachine(time.Now())
	cleanUp, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	defer cleanUp()
	err = b.compare(ctx)
	if len(b.rows) > 0 {
		b.report(stdout, machine, time.Since(began))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// prepare finds or builds the programs.
func (b *bench) prepare(ctx context.Context) (cleanUp func(), err error) {
	if err := isDirectory("tmpfs", b.tmpfs); err != nil {
		return nil, err
	}
	if b.programs, err = postgres.All(); err != nil {
		return nil, err
	}
	b.pgparallel, cleanUp, err = buildPgparallel(ctx, b.options.pgparallel)
	if err != nil {
		return nil, err
	}
	help, err := exec.CommandContext(ctx, b.pgparallel, "backup", "--help").Output()
	if err != nil {
		cleanUp()
		return nil, fmt.Errorf("%s backup --help: %w", b.pgparallel, err)
	}
	if strings.Contains(string(help), "--no-descriptors") {
		b.noDescriptors = []string{"--no-descriptors"}
	}
	return cleanUp, nil
}

// buildPgparallel is the program that was named, or one that is built from this tree.
func buildPgparallel(ctx context.Context, named string) (program string, cleanUp func(), err error) {
	if named != "" {
		program, err = filepath.Abs(named)
		return program, func() {}, err
	}
	dir, err := os.MkdirTemp("", "pgparallel-bench-")
	if err != nil {
		return "", nil, err
	}
	program = filepath.Join(dir, "pgparallel")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/pgparallel/pgparallel/cmd/pgparallel").CombinedOutput()
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("building pgparallel: %w\n%s", err, tail(string(out), 1000)), os.RemoveAll(dir))
	}
	return program, func() { os.RemoveAll(dir) }, nil
}

// compare runs the parts, each with clusters of its own.
func (b *bench) compare(ctx context.Context) error {
	parts := []struct {
		kinds []string
		run   func(ctx context.Context) error
	}{
		{[]string{"unix", "tcp", "tls", "descriptors", "pgbackrest", "cp", "disk"}, b.comparePaths},
		{[]string{"reflink"}, b.compareReflink},
		{[]string{"majors", "pgbackrest"}, b.compareMajors},
		{[]string{"small"}, b.compareSmallFiles},
	}
	for _, part := range parts {
		if !b.only.has(part.kinds...) {
			continue
		}
		if err := part.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leaveOut notes what is not in the table.
func (b *bench) leaveOut(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	b.notes = append(b.notes, strings.Join(strings.FieldsFunc(note, func(r rune) bool { return r == '\n' }), ": "))
	fmt.Fprintln(b.progress, "left out: "+note)
}

// programsOf is the major that is asked for, or the newest that is older, else the oldest.
func (b *bench) programsOf(major int) postgres.Programs {
	chosen := b.programs[0]
	for _, p := range b.programs {
		if p.Major <= major {
			chosen = p
		}
	}
	return chosen
}

// report writes the table, and what one has to know to read it.
func (b *bench) report(w io.Writer, machine string, took time.Duration) {
	table{header: header, right: len(header) - textColumns, rows: b.rows}.write(w)
	fmt.Fprintf(w, "\n%s; load at the end %s; took %s.\n", machine, loadOf(readSystem("/proc/loadavg")), took.Round(time.Second))
	fmt.Fprintf(w, "Medians of %d rounds after a warm-up, minima in parentheses. CPU is user and system time of both ends, "+
		"memory the most that either had resident: pgparallel serve, or all backends of PostgreSQL with the buffers that they share; "+
		"and the client. A ratio is the median of the rounds' ratios to the last row of pg_basebackup above; it is not told where their quartiles "+
		"lie more than %.0f %% of it apart, nor of fewer than %d rounds.\n", b.rounds, mostScatter*100, fewestRounds)
	if met := b.goals(); len(met) > 0 {
		fmt.Fprintln(w, "\nWhat this project wants to reach:")
		fmt.Fprintln(w)
		table{header: goalHeader, right: len(goalHeader) - 1, rows: met}.write(w)
		fmt.Fprintln(w)
	}
	for _, note := range b.notes {
		fmt.Fprintf(w, "Left out: %s.\n", strings.TrimSuffix(note, "."))
	}
}
