package conformance_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

const (
	wrongClient = "github.com/pgparallel/pgparallel/walsender/conformance/testdata/wrongclient"
	biteGolden  = "testdata/bite.golden"
)

var biteCases = flag.String("bites", "", "with -update: find out anew only for these cases, as WAL/014,UNLOGGED, and for mistakes that are new")

// TestCheckClient_Bites shows that the kit notices mistakes. testdata/bite.golden says
// for each mistake of the wrong client which cases it fails; -update finds that out
// anew, in many minutes (in few with -bites). Without it one of them is tried.
func TestCheckClient_Bites(t *testing.T) {
	t.Parallel()
	program := build(t, wrongClient)
	if *update {
		writeBites(t, program)
	}
	bites := readBites(t)
	if diff := slices.Compare(slices.Sorted(maps.Keys(bites)), mistakes(t, program)); diff != 0 {
		t.Errorf("%s is not about the mistakes that there are: run the test with -update", biteGolden)
	}
	for mistake, ids := range bites {
		t.Run(mistake, func(t *testing.T) { checkBites(t, program, mistake, ids[len(ids)/2]) })
	}
}

// TestCheckClient_BitesAtTheEnds_Long tries more of what testdata/bite.golden says.
func TestCheckClient_BitesAtTheEnds_Long(t *testing.T) {
	longtest.Mark(t)
	program := build(t, wrongClient)
	for mistake, ids := range readBites(t) {
		t.Run(mistake, func(t *testing.T) {
			checkBites(t, program, mistake, slices.Compact([]string{ids[0], ids[len(ids)-1]})...)
		})
	}
}

func checkBites(t *testing.T, program, mistake string, ids ...string) {
	t.Helper()
	for _, result := range check(t, wrongCommand(program, mistake), ids).Results {
		if result.Verdict != conformance.Fail {
			t.Errorf("%s: %s %s", result.ID, result.Verdict, result.Happened)
		}
	}
}

// TestCheckClient_BitesEverywhere holds each case to be failed by a client that does
// something particular wrong: one that passes half of the cases or more.
func TestCheckClient_BitesEverywhere(t *testing.T) {
	failed := map[string]bool{}
	all := conformance.Cases()
	for _, ids := range readBites(t) {
		for _, id := range ids {
			failed[id] = failed[id] || len(ids) <= len(all)/2
		}
	}
	for _, c := range all {
		if !failed[c.ID] {
			t.Errorf("%s is failed by no client that does something particular wrong", c.ID)
		}
	}
}

// TestCheckClient_Right_Long has the same client pass everything when it makes no mistake.
func TestCheckClient_Right_Long(t *testing.T) {
	longtest.Mark(t)
	allPass(t, check(t, wrongCommand(build(t, wrongClient), ""), nil))
}

func wrongCommand(program, mistake string) []string {
	return []string{
		program, "-wrong", mistake, "-h", "{host}", "-p", "{port}", "-D", "{dir}", "-j", "{jobs}", "-min-jobs", "{min-jobs}",
		"-X", "{wal}", "-T", "{tablespace-old}={tablespace-new}",
	}
}

func check(t *testing.T, command, ids []string) conformance.Report {
	t.Helper()
	report, err := conformance.CheckClient(t.Context(), conformance.Options{Command: command, Select: ids, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// mistakes are those that the wrong client knows.
func mistakes(t *testing.T, program string) []string {
	t.Helper()
	out, err := exec.Command(program, "-list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	return names
}

// writeBites runs all cases with every mistake, or those of -bites.
func writeBites(t *testing.T, program string) {
	t.Helper()
	known := map[string][]string{}
	var some []conformance.Case
	if *biteCases != "" {
		var err error
		if some, err = conformance.Select(conformance.Cases(), strings.Split(*biteCases, ",")); err != nil {
			t.Fatal(err)
		}
		known = readBites(t)
	}
	var golden strings.Builder
	for _, mistake := range mistakes(t, program) {
		failed := map[string]bool{}
		for _, id := range known[mistake] {
			failed[id] = true
		}
		var ids []string // none: all
		if len(failed) > 0 {
			for _, c := range some {
				ids = append(ids, c.ID)
			}
		}
		for _, result := range check(t, wrongCommand(program, mistake), ids).Results {
			failed[result.ID] = result.Verdict != conformance.Pass
		}
		fmt.Fprintf(&golden, "%s:", mistake)
		for _, c := range conformance.Cases() {
			if failed[c.ID] {
				fmt.Fprintf(&golden, " %s", c.ID)
			}
		}
		golden.WriteString("\n")
	}
	if err := os.WriteFile(biteGolden, []byte(golden.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readBites(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(biteGolden)
	if err != nil {
		t.Fatal(err)
	}
	bites := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		mistake, ids, _ := strings.Cut(strings.TrimSpace(line), ":")
		if bites[mistake] = strings.Fields(ids); len(bites[mistake]) == 0 {
			t.Errorf("nothing shows that the client with %s is wrong", mistake)
			delete(bites, mistake)
		}
	}
	return bites
}
