package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/walsender/conformance"
)

// readCases reads a file with an ID, an area or a pattern a line. No name is no file.
func readCases(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("could not read a list of cases: %w", err)
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			patterns = append(patterns, line)
		}
	}
	return patterns, nil
}

// write writes the files that were asked for.
func (c *conformCommand) write(report conformance.Report) error {
	return errors.Join(writeReport(c.JSON, report.WriteJSON), writeReport(c.Junit, report.WriteJUnit))
}

func writeReport(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("could not write the results: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("could not write the results to %q: %w", name, err)
	}
	return nil
}

// seed is the one that was given, or a new one that is short to type.
func (c *conformCommand) seed() uint64 {
	if c.Seed != nil {
		return *c.Seed
	}
	return rand.Uint64N(1_000_000)
}

// caseCount is the value of --parallel.
type caseCount int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *caseCount) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--parallel", 1, 64)
	*n = caseCount(value)
	return err
}

// caseTimeout is the value of --timeout of conform, in seconds.
type caseTimeout int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *caseTimeout) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--timeout", 1, math.MaxInt32/1000)
	*n = caseTimeout(value)
	return err
}

func (n caseTimeout) duration() time.Duration { return time.Duration(n) * time.Second }
