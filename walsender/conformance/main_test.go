package conformance_test

import (
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var update = flag.Bool("update", false, "write the goldens anew")

// programs is the environment variable with the directory of the programs that were built.
const programs = "CONFORMANCE_TEST_PROGRAMS"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "programs")
	if err != nil {
		panic(err)
	}
	os.Setenv(programs, dir)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		os.RemoveAll(dir)
		os.Exit(status)
	}))
}

// building is held while a program is built.
var building sync.Mutex

// build builds a program of the module, once a run of the tests.
func build(t *testing.T, pkg string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	program := filepath.Join(os.Getenv(programs), path.Base(pkg))
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return program
}

// allPass holds every case of a report to be passed, but for those that are excused, by the
// patterns of path.Match: they have no verdict.
func allPass(t *testing.T, report conformance.Report, excused ...string) {
	t.Helper()
	for _, result := range report.Results {
		if slices.ContainsFunc(excused, func(pattern string) bool { is, _ := path.Match(pattern, result.ID); return is }) {
			if !result.Optional {
				t.Errorf("%s: %s, and is to be excused", result.ID, result.Verdict)
			}
			continue
		}
		if result.Verdict != conformance.Pass {
			t.Errorf("%s: %s\nexpected: %s\nhappened: %s\n%s%s", result.ID, result.Verdict, result.Expected, result.Happened, result.Output, result.Diff)
		}
	}
}

// checked is the report about a test server, which is asked as the options say but for where it
// is, unless they say that, too.
func checked(t *testing.T, server *walsendertest.Server, o conformance.ServerOptions) conformance.Report {
	t.Helper()
	if o.Config == nil {
		config, err := server.ConnConfig()
		if err != nil {
			t.Fatal(err)
		}
		o.Config = config
	}
	report, err := conformance.CheckServer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// failsCase has a test server fail a case.
func failsCase(t *testing.T, server *walsendertest.Server, id string) {
	t.Helper()
	result := checked(t, server, conformance.ServerOptions{Select: []string{id}}).Results[0]
	if result.Verdict != conformance.Fail {
		t.Errorf("%s: %s %s", result.ID, result.Verdict, result.Happened)
	}
}
