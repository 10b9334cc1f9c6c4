package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// allowRoot lets serve run as root, as which the tests may run. A test sets it to off to
// see serve refuse.
const allowRoot = "PGPARALLEL_ALLOW_ROOT"

func TestMain(m *testing.M) {
	if _, set := os.LookupEnv(allowRoot); !set {
		os.Setenv(allowRoot, "on")
	}
	testscript.Main(m, map[string]func(){"pgparallel": main})
}
