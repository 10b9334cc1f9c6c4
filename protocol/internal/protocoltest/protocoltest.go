// Package protocoltest is what the tests of package protocol and of the packages below it
// have in common: generators of values, and comparisons of errors.
package protocoltest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

// LSNs are positions of any kind.
func LSNs() *rapid.Generator[protocol.LSN] {
	return rapid.Map(rapid.Uint64(), func(n uint64) protocol.LSN { return protocol.LSN(n) })
}

// Timelines are all timelines that there can be.
func Timelines() *rapid.Generator[protocol.Timeline] {
	return rapid.Map(rapid.Uint32Min(1), func(n uint32) protocol.Timeline { return protocol.Timeline(n) })
}

// Paths are paths that [protocol.CheckPath] lets pass, of any bytes.
func Paths() *rapid.Generator[string] {
	bytes := rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) string { return string(b) })
	return bytes.Filter(func(s string) bool { return protocol.CheckPath(s) == nil })
}

// WantError checks that err is exactly the error want, wrapped or not.
func WantError(t *testing.T, name string, err error, want protocol.Error) {
	t.Helper()
	got, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		t.Errorf("%s: error is %v, want %v", name, err, &want)
		return
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("%s: error (-want +got):\n%s", name, diff)
	}
}

// WantText checks the text of an error; an empty text means none.
func WantText(t *testing.T, name string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s:\n got error %q\nwant error %q", name, got, want)
	}
}
