package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAll(t *testing.T) {
	real := Require(t)
	dir := real.TempDir(t)
	full := fakeInstallation(t, dir, "full", "93.1", "psql", "pg_verifybackup")
	server := fakeInstallation(t, dir, "server", "94.2")
	newer := fakeInstallation(t, dir, "newer", "96beta1", "psql")
	noPsql := fakeInstallation(t, dir, "again", "96.1")
	must(t, real.Own(dir))
	t.Setenv("PGPARALLEL_POSTGRES", strings.Join([]string{noPsql, newer, filepath.Dir(server), full}, ":"))

	all, err := All()
	must(t, err)
	var got []string
	for _, p := range all {
		if p.Major > 90 {
			got = append(got, fmt.Sprintf("%d %s in %s, psql in %s, %v", p.Major, p.Version, p.BinDir, p.dirOf("psql"), p.Has("pg_verifybackup")))
		}
	}
	want := []string{
		fmt.Sprintf("93 93.1 in %s, psql in %[1]s, true", full),
		fmt.Sprintf("94 94.2 in %s, psql in %s, false", server, newer),
		fmt.Sprintf("96 96beta1 in %s, psql in %[1]s, false", newer),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("majors above 90 (-want +got):\n%s", diff)
	}
	if got := RequireMajor(t, 94).dirOf("pg_verifybackup"); got != server {
		t.Errorf("pg_verifybackup of 94 is looked for in %s: that of another major judges its own format", got)
	}
}

func TestRequireMajor_Missing(t *testing.T) {
	Require(t)
	for value, want := range map[string]string{"": "skip", "1": "fatal"} {
		t.Setenv("PGPARALLEL_REQUIRE_POSTGRES", value)
		tb := &recorder{TB: t}
		RequireMajor(tb, 1999)
		if !strings.HasPrefix(tb.text, want) || !strings.Contains(tb.text, "major version 1999; make postgres fetches it") {
			t.Errorf("PGPARALLEL_REQUIRE_POSTGRES=%q: %s, want %s", value, tb.text, want)
		}
	}
}

// fakeInstallation makes a server's programs, and others, that know their version only.
func fakeInstallation(t *testing.T, dir, name, version string, others ...string) (binDir string) {
	t.Helper()
	binDir = filepath.Join(dir, name, "bin")
	must(t, os.MkdirAll(binDir, 0o755))
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, program := range append(others, "initdb", "pg_ctl", "postgres") {
		must(t, os.WriteFile(filepath.Join(binDir, program), []byte(script), 0o755))
	}
	return binDir
}
