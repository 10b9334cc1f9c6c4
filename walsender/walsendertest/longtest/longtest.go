// Package longtest keeps tests that take long out of "go test ./..." and "make test".
// "make check-long" runs them, all of them and no others.
package longtest

import (
	"os"
	"strings"
	"testing"
)

const (
	suffix   = "_Long"
	variable = "PGPARALLEL_LONG"
)

// Mark makes the test that calls it a long one: the test is skipped unless
// PGPARALLEL_LONG is 1 or all in the environment. The name of the test ends in _Long, by which
// "make check-long" finds it: Mark fails a test with another name, and a
// subtest. A test marks itself before it does anything else.
func Mark(t testing.TB) {
	t.Helper()
	switch {
	case !strings.HasSuffix(t.Name(), suffix), strings.Contains(t.Name(), "/"):
		t.Fatalf("make check-long does not find this long test: its name does not end in %s", suffix)
	case os.Getenv(variable) != "1" && !Whole():
		t.Skipf("a long test: make check-long runs it (%s=1)", variable)
	}
}

// Whole reports whether PGPARALLEL_LONG is all: a long test that tries a part of its
// combinations, or a part of its size, tries all of them then.
func Whole() bool {
	return os.Getenv(variable) == "all"
}
