package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// With PostgreSQL: what the demonstration says is true, and only the backup is left.
func TestDemo_PostgreSQL(t *testing.T) {
	programs := postgres.Require(t)
	left := demoLeft(t, postgresSource{programs, 1}, programs.TempDir(t),
		"made a cluster with PostgreSQL "+programs.Version,
		"backed up over 2 connections",
		"pg_basebackup has taken a backup from the stopped cluster",
		"pgparallel verify: backup successfully verified",
		"pgbench_accounts has 100000 rows")
	if _, err := os.Stat(filepath.Join(left, "backup", "global", "pg_control")); err != nil {
		t.Error(err)
	}
}

func TestDemo_Sample(t *testing.T) {
	demoLeft(t, sampleSource{pages: 10}, shortTempDir(t),
		"PostgreSQL is not installed",
		"backed up over 2 connections",
		"pgparallel verify: backup successfully verified")
}

// demoLeft runs a demonstration in the directory, looks for what it must say, and
// returns the directory that it leaves.
func demoLeft(t *testing.T, source demoSource, parent string, says ...string) string {
	t.Helper()
	t.Setenv("TMPDIR", parent)
	var stdout, stderr bytes.Buffer
	if err := demonstrate(t.Context(), &console{stdout: &stdout, stderr: &stderr}, source, 2); err != nil {
		t.Fatal(err)
	}
	for _, text := range says {
		if !strings.Contains(stdout.String(), text) {
			t.Errorf("no %q in:\n%s", text, stdout.String())
		}
	}
	left := regexp.MustCompile(`The backup is in (\S+)/backup, its tablespace in backup_tablespace`).FindStringSubmatch(stdout.String())
	if left == nil {
		t.Fatalf("it does not say where the backup is:\n%s", stdout.String())
	}
	wantEntries(t, left[1], "backup", "backup_tablespace")
	return left[1]
}

// brokenSource makes a cluster, and then finds fault with its backup.
type brokenSource struct{ sampleSource }

var errBroken = errors.New("it does not start")

func (brokenSource) prove(context.Context, demoDirs, func(string)) error { return errBroken }

// A failure leaves the logs, and says where they are.
func TestDemo_Failure(t *testing.T) {
	parent := shortTempDir(t)
	t.Setenv("TMPDIR", parent)
	var stdout, stderr bytes.Buffer
	err := demonstrate(t.Context(), &console{stdout: &stdout, stderr: &stderr}, brokenSource{sampleSource{pages: 10}}, 1)
	if !errors.Is(err, errBroken) {
		t.Fatalf("got error %v", err)
	}
	_, logs, found := strings.Cut(err.Error(), "the logs are in ")
	if !found {
		t.Fatalf("it does not say where the logs are: %v", err)
	}
	logs = strings.TrimSuffix(logs, ")")
	wantEntries(t, filepath.Dir(logs), "logs")
	wantEntries(t, logs, "serve.log")
}

// An interruption leaves nothing.
func TestDemo_Interrupted(t *testing.T) {
	parent := shortTempDir(t)
	t.Setenv("TMPDIR", parent)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&interruption{unix.SIGINT})
	var stdout, stderr bytes.Buffer
	err := demonstrate(ctx, &console{stdout: &stdout, stderr: &stderr}, sampleSource{pages: 10}, 1)
	if err == nil || !strings.Contains(err.Error(), "interrupted by SIGINT") {
		t.Errorf("got error %v", err)
	}
	wantEntries(t, parent)
}

func wantEntries(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

// shortTempDir is a directory that leaves room for the name of a socket, as
// testing's own may not.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
