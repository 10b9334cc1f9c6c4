package acceptance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const allowRoot = "PGPARALLEL_ALLOW_ROOT"

// built is the directory of the program, which goes with the tests.
var built string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	// serve may run as root, as which the tests may run.
	if _, set := os.LookupEnv(allowRoot); !set {
		os.Setenv(allowRoot, "on")
	}
	var err error
	if built, err = os.MkdirTemp("", "pgparallel-acceptance-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built)
	return m.Run()
}

// build builds the program, once for all tests: as users have it, so that what it
// needs in memory and time is not the race detector's.
var build = sync.OnceValues(func() (string, error) {
	program := filepath.Join(built, "pgparallel")
	if out, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})
