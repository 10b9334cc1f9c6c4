package longtest

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// outcome is a test that notes how it was ended.
type outcome struct {
	testing.TB
	name, ended string
}

func (o *outcome) Helper()               {}
func (o *outcome) Name() string          { return o.name }
func (o *outcome) Fatalf(string, ...any) { o.ended = "failed"; runtime.Goexit() }
func (o *outcome) Skipf(string, ...any)  { o.ended = "skipped"; runtime.Goexit() }

func TestMark(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"TestSweep_Long", "", "skipped"},
		{"TestSweep_Long", "0", "skipped"},
		{"TestSweep_Long", "1", ""},
		{"TestSweep_Long", "all", ""},
		{"TestSweep", "1", "failed"},
		{"TestSweep", "", "failed"}, // where it is written, not only where it is run
		{"TestSweep_Long/part", "1", "failed"},
		{"TestSweep/part_of_it_Long", "1", "failed"},
	} {
		t.Setenv(variable, test.value)
		o, done := &outcome{name: test.name}, make(chan struct{})
		go func() { // ends with Mark, or is ended by it
			defer close(done)
			Mark(o)
		}()
		if <-done; o.ended != test.want {
			t.Errorf("%s, %s=%s: ended as %q, want %q", test.name, variable, test.value, o.ended, test.want)
		}
	}
}

// TestMakefile holds "make check-long" to run the tests that Mark lets pass, and the
// checks before a change is taken to run both kinds.
func TestMakefile(t *testing.T) {
	for file, lines := range map[string][]string{
		"Makefile": {
			"LONG := " + variable + "=$(PGPARALLEL_LONG) PGPARALLEL_SOAK=$(SOAKTIME) .ci/in-memory $(GO) test $(RACE) -parallel $(PARALLEL) -count=1 -v -timeout 60m",
			"\tPGPARALLEL_REQUIRE_POSTGRES=1 $(LONG) -run '" + suffix + "$$' ./...",
		},
		".ci/run": {"make test", "make check-long SOAKTIME=25s"},
	} {
		text, err := os.ReadFile("../../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
				t.Errorf("%s has no line %q", file, line)
			}
		}
	}
}
