package acceptance_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A page that is damaged on the server, and in the copy as on the server, is kept like any
// other. The user hears of it in each refresh, and the exit status says it (§5.7).
func TestRefresh_5_7_DamagedPageIsKept(t *testing.T) {
	t.Parallel()
	const whole, byBlocks = "base/5/20000", "base/5/20001"
	base := t.TempDir()
	source, dir := filepath.Join(base, "source"), filepath.Join(base, "copy")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, RelationPages: 60, DamagedPages: []walsendertest.DamagedPage{
		{Path: whole, Block: 7}, {Path: byBlocks, Block: 30},
	}}.Write(source))
	s := serve(t, source)
	refresh := func(options ...string) {
		t.Helper()
		b := run(t, backup(t, s.socketDir, dir, append(options, "--no-sync")...))
		said := b.stderr.String()
		if b.status() != 3 || !strings.Contains(said, "checksum verification failure during base backup (SQLSTATE XX001)") {
			t.Fatalf("%v, want exit status 3:\n%s", b.cmd.ProcessState, said)
		}
		for path, block := range map[string]int{whole: 7, byBlocks: 30} {
			warning := fmt.Sprintf(`warning: checksum verification failed in file "./%s", block %d: `, path, block)
			if n := strings.Count(said, warning); n != 1 {
				t.Errorf("%d warnings of the page of %s, want 1:\n%s", n, path, said)
			}
			same(t, filepath.Join(source, path), filepath.Join(dir, path))
		}
		if !strings.Contains(said, "warning: 2 total checksum verification failures") {
			t.Errorf("it does not say how many pages are damaged:\n%s", said)
		}
	}
	refresh()
	inodes := [2]uint64{inodeOf(t, filepath.Join(dir, whole)), inodeOf(t, filepath.Join(dir, byBlocks))}
	info, err := os.Stat(filepath.Join(source, byBlocks))
	must(t, err)
	must(t, os.Chtimes(filepath.Join(source, byBlocks), info.ModTime(), info.ModTime().Add(-time.Hour)))
	for _, options := range [][]string{{"--refresh", "--in-place"}, {"--refresh"}} {
		refresh(options...)
		if now := [2]uint64{inodeOf(t, filepath.Join(dir, whole)), inodeOf(t, filepath.Join(dir, byBlocks))}; now != inodes {
			t.Errorf("%v: what is damaged was not kept", options)
		}
	}
}

// same makes sure that two files have the same content.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	b, err2 := os.ReadFile(got)
	must(t, errors.Join(err, err2))
	if string(a) != string(b) {
		t.Errorf("%s differs from %s", got, want)
	}
}

// Where nothing can be read, or nothing written, a refresh fails with one line, and leaves what is
// there as it was.
func TestRefresh_WithoutPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run as another user")
	}
	t.Parallel()
	p := postgres.Require(t)
	base := p.TempDir(t)
	must(t, os.Chmod(base, 0o755))
	source := filepath.Join(base, "source")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20}.Write(source))
	program := programForOthers(t, base)
	s := serve(t, source, "--listen=127.0.0.1:0", "--auth=trust")
	port := regexp.MustCompile(`IPv4 address "127\.0\.0\.1", port ([0-9]+)`).FindStringSubmatch(s.stderr.String())
	if port == nil {
		t.Fatalf("it listens nowhere:\n%s", s.stderr.String())
	}
	for name, c := range map[string]struct {
		closed string // has no permission, below the parent of the copy
		mode   os.FileMode
		want   string
		ways   []string
	}{
		"a directory that nobody can read": {"parent/copy/base/5", 0, `could not read directory ".*/copy/base/5"`, []string{"--no-sync", "--in-place"}},
		"a read-only parent":               {"parent", 0o500, "copy.pgparallel-refresh", []string{"--no-sync"}},
		"a read-only backup":               {"parent/copy/global/pg_control", 0o400, `could not open file ".*/copy/global/pg_control"`, []string{"--no-sync", "--in-place"}},
	} {
		t.Run(name, func(t *testing.T) {
			own := filepath.Join(base, strings.ReplaceAll(name, " ", "-"))
			dir := filepath.Join(own, "parent/copy")
			take := func(options ...string) (*exec.Cmd, string) {
				b := p.Command(t.Context(), program, append([]string{"backup", "-d", "host=127.0.0.1 user=postgres sslmode=disable port=" + port[1], "-D", dir}, options...)...)
				said, _ := b.CombinedOutput()
				return b, string(said)
			}
			must(t, os.MkdirAll(filepath.Dir(dir), 0o700))
			must(t, p.Own(own))
			if b, said := take("--no-sync"); b.ProcessState.ExitCode() != 0 {
				t.Fatalf("%v: %s", b.ProcessState, said)
			}
			must(t, os.Chmod(filepath.Join(own, c.closed), c.mode))
			before := tree(t, own)
			for _, way := range c.ways {
				b, said := take("--refresh", way)
				if b.ProcessState.ExitCode() != 1 || !regexp.MustCompile(`^pgparallel: error: .*`+c.want+`.*permission denied\n$`).MatchString(said) {
					t.Errorf("%s: %v, want 1 and %s:\n%s", way, b.ProcessState, c.want, said)
				}
				if diff := cmp.Diff(before, tree(t, own)); diff != "" {
					t.Errorf("%s: something has changed: %s", way, diff)
				}
			}
		})
	}
}

// programForOthers is the program where other users can run it.
func programForOthers(t *testing.T, dir string) string {
	t.Helper()
	built, err := build()
	must(t, err)
	content, err := os.ReadFile(built)
	must(t, err)
	program := filepath.Join(dir, "pgparallel")
	must(t, os.WriteFile(program, content, 0o755))
	must(t, os.Chmod(program, 0o755))
	return program
}
