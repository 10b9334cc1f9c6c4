package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for _, tt := range []struct {
		line, version string
		major         int
	}{
		{"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", "15.18", 15},
		{"postgres (PostgreSQL) 18.3\n", "18.3", 18},
		{"postgres (PostgreSQL) 17beta2\n", "17beta2", 17},
		{"postgres (PostgreSQL) 19devel\n", "19devel", 19},
	} {
		version, major, err := parseVersion(tt.line)
		if version != tt.version || major != tt.major || err != nil {
			t.Errorf("parseVersion(%q) = %q, %d, %v", tt.line, version, major, err)
		}
	}
	for _, line := range []string{"", "postgres 15.1", "postgres (PostgreSQL) ", "postgres (PostgreSQL) devel"} {
		if version, _, err := parseVersion(line); err == nil {
			t.Errorf("parseVersion(%q) = %q, want an error", line, version)
		}
	}
}

func TestVersionOf(t *testing.T) {
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/15/bin":          15,
		"/usr/lib/postgresql/9.6/bin":         0,
		"/usr/pgsql-17/bin":                   17,
		"/opt/homebrew/opt/postgresql@16/bin": 16,
		"/usr/local/pgsql/bin":                0,

		"/var/cache/pgparallel/postgres/19/bin": 19,
	} {
		if got := versionOf(dir); got != want {
			t.Errorf("versionOf(%s) = %d, want %d", dir, got, want)
		}
	}
}

func TestFind_PATHComesFirst(t *testing.T) {
	t.Setenv("PGPARALLEL_POSTGRES", "")
	real := Require(t)
	installed := filepath.Join(real.TempDir(t), "lib", "99", "bin")
	must(t, os.MkdirAll(installed, 0o755))
	for _, name := range []string{"initdb", "pg_ctl", "psql"} {
		must(t, os.WriteFile(filepath.Join(installed, name), []byte("#!/bin/sh\n"), 0o755))
	}
	link := t.TempDir()
	must(t, os.Symlink(filepath.Join(installed, "initdb"), filepath.Join(link, "initdb")))
	must(t, real.Own(filepath.Dir(filepath.Dir(filepath.Dir(installed)))))
	t.Setenv("PATH", link+":"+os.Getenv("PATH"))

	got, err := Find()
	must(t, err)
	if got.BinDir == installed {
		t.Fatal("a directory without postgres was taken")
	}
	must(t, os.WriteFile(filepath.Join(installed, "postgres"), []byte("#!/bin/sh\necho 'postgres (PostgreSQL) 99.1'\n"), 0o755))
	got, err = Find()
	must(t, err)
	if got.BinDir != installed || got.Version != "99.1" || got.Major != 99 {
		t.Errorf("Find() = %+v, want 99.1 in %s", got, installed)
	}
}

func TestCommand_Environment(t *testing.T) {
	p := Require(t)
	t.Setenv("PGHOST", "nowhere")
	t.Setenv("LC_MESSAGES", "de_DE")
	t.Setenv("HOME", "/root")
	t.Setenv("KEPT", "yes")
	out, err := p.Run(t.Context(), "/bin/sh", "-c", `echo "$PGHOST,$LC_MESSAGES,$LC_ALL,$HOME,$KEPT,$(pwd),$(command -v initdb)"`)
	must(t, err)
	if want := ",,C,/,yes,/," + p.BinDir + "/initdb\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestRun_ContextEnds(t *testing.T) {
	p := Require(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Run(ctx, "postgres", "--version"); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with a context that has ended: %v", err)
	}
}

// As root the other tests run the server as another user. This one runs them
// once more as that user, to whom nothing has to be given.
func TestNormalUser(t *testing.T) {
	p := Require(t)
	if p.user == nil {
		t.Skip("the other tests already ran as a normal user")
	}
	dir := p.TempDir(t)
	binary := filepath.Join(dir, "postgres.test") // the original is where only root gets
	copyFile(t, binary, os.Args[0])
	must(t, p.Own(dir))
	cmd := p.Command(t.Context(), binary, "-test.run=^(TestCluster|TestOwn_AsNormalUser)$", "-test.v")
	cmd.Env = append(cmd.Env, "PGPARALLEL_REQUIRE_POSTGRES=1", "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestCluster") || !strings.Contains(string(out), "--- PASS: TestOwn_AsNormalUser") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOwn_AsNormalUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("for a normal user")
	}
	p := Require(t)
	if p.user != nil {
		t.Errorf("the programs run as %s", p.user.name)
	}
	must(t, p.Own(filepath.Join(t.TempDir(), "nosuch")))
}

func TestOwn_Unreachable(t *testing.T) {
	p := Require(t)
	if p.user == nil {
		t.Skip("for root")
	}
	closed := t.TempDir()
	must(t, os.Chmod(closed, 0o700))
	err := p.Own(filepath.Join(closed, "data"))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("cannot get to %s/data: directory", closed)) {
		t.Errorf("Own below a directory of mode 0700: %v", err)
	}
}

// A skip says what is missing; with PGPARALLEL_REQUIRE_POSTGRES=1 it is a failure.
func TestRequire_WithoutPostgreSQL(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("PGPARALLEL_POSTGRES", "")
	_, err := find([]string{"/nosuch/*/bin"})
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("find in a place that is not there: %v", err)
	}
	for value, want := range map[string]string{"": "skip", "0": "skip", "1": "fatal"} {
		t.Setenv("PGPARALLEL_REQUIRE_POSTGRES", value)
		tb := &recorder{TB: t}
		giveUp(tb, err)
		if !strings.HasPrefix(tb.text, want) || !strings.Contains(tb.text, "no initdb on PATH, none in pg_config --bindir, nor in /nosuch/*/bin") {
			t.Errorf("PGPARALLEL_REQUIRE_POSTGRES=%q: %s", value, tb.text)
		}
	}
}

type recorder struct {
	TB
	text string
}

func (r *recorder) Skipf(format string, args ...any) { r.text = "skip " + fmt.Sprintf(format, args...) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.text = "fatal " + fmt.Sprintf(format, args...)
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
