package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// notInExample are the parameters that the example of a configuration has no line for: they
// are for tests, or no service needs them.
var notInExample = []string{"newest_major", "allow_root", "help", "version"}

// TestPackaging_ExampleConfiguration holds the example to the parameters that there are: it
// has a line of each, with a value that is one, also where the line is commented out.
func TestPackaging_ExampleConfiguration(t *testing.T) {
	text := readTop(t, "packaging/example.conf")
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if bare, found := strings.CutPrefix(line, "#"); found && !strings.HasPrefix(bare, " ") {
			line = bare
		}
		lines.WriteString(line)
	}
	flags := serveParameters(t)
	var given []string
	for _, s := range parseConfig(lines.String()) {
		given = append(given, s.name)
		if err := s.apply(flags[s.name], false); err != nil {
			t.Errorf("line %d: %v", s.line, err)
		}
	}
	for name, flag := range flags {
		if isParameter(flag) && !slices.Contains(given, name) && !slices.Contains(notInExample, name) {
			t.Errorf("packaging/example.conf has no line of %s", name)
		}
	}
	for _, s := range parseConfig(text) {
		if s.err != nil {
			t.Errorf("line %d: %v", s.line, s.err)
		}
	}
}

// serveParameters are the options of serve by the names that they have in a file.
func serveParameters(t *testing.T) map[string]*kong.Flag {
	t.Helper()
	parser, err := newParser(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]*kong.Flag{}
	for _, flag := range parsed.Selected().Flags {
		flags[parameterName(flag)] = flag
	}
	return flags
}

// TestPackaging_Unit holds the options on the unit's command line to those of serve.
func TestPackaging_Unit(t *testing.T) {
	units, err := filepath.Glob("../../packaging/systemd/*.service")
	if err != nil || len(units) != 1 {
		t.Fatalf("%v %v", units, err)
	}
	_, command, found := strings.Cut(readTop(t, "packaging/systemd/pgparallel@.service"), "ExecStart=/usr/bin/pgparallel ")
	command, _, _ = strings.Cut(command, "\n")
	if !found {
		t.Fatal("no ExecStart")
	}
	parser, err := newParser(&commandLine{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(strings.Fields(command)); err != nil {
		t.Errorf("%s: %v", command, err)
	}
}

// TestPackaging_Sidecar holds the arguments in the manifest for Kubernetes to the options of
// serve.
func TestPackaging_Sidecar(t *testing.T) {
	_, list, found := strings.Cut(readTop(t, "examples/kubernetes/sidecar.yaml"), "\n          args: ")
	if !found {
		t.Fatal("no arguments")
	}
	var args []string
	if err := json.NewDecoder(strings.NewReader(list)).Decode(&args); err != nil {
		t.Fatal(err)
	}
	line := &commandLine{}
	parser, err := newParser(line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := line.Serve.check(); err != nil {
		t.Error(err)
	}
}

// readTop reads a file by its path from the top of the tree.
func readTop(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
