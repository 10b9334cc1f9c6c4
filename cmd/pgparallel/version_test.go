package main

import (
	"testing"
	"time"
)

func TestRelease_String(t *testing.T) {
	at := time.Date(2026, 11, 27, 21, 30, 0, 0, time.UTC)
	const revision = "1196a37c820c1ad60ed7c5f5ef0e9ca25a3efc5b"
	for want, r := range map[string]release{
		"(devel)": {version: "(devel)"},
		"v0.1.0":  {version: "v0.1.0"}, // by go install
		"v0.1.0 (commit 1196a37c820c, 2026-11-27)":        {"v0.1.0", revision, at},
		"(devel) (commit 1196a37c820c+dirty, 2026-11-27)": {"(devel)", revision + "+dirty", at},
	} {
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
