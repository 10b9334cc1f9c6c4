package acceptance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// serve refuses a data directory that it may not read with one line, before anything
// listens: with and without --cluster.
func TestServe_UnreadableDataDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory that another user cannot read, and run as that user")
	}
	p := postgres.Require(t)
	parent := p.TempDir(t)
	dir := filepath.Join(parent, "data")
	must(t, walsendertest.Sample{}.Write(dir)) // mode 0700, root's; p runs programs as another user
	built, err := build()
	must(t, err)
	program := filepath.Join(parent, "pgparallel") // where the other user can run it
	content, err := os.ReadFile(built)
	must(t, err)
	must(t, os.WriteFile(program, content, 0o755))
	for _, args := range [][]string{{}, {"--cluster", "host=/nonexistent"}} {
		command := p.Command(t.Context(), program, append([]string{"serve", "-D", dir, "-k", parent}, args...)...)
		said, err := command.CombinedOutput()
		if err == nil || command.ProcessState.ExitCode() != 1 {
			t.Errorf("%v: %v, want exit status 1", args, err)
		}
		if text := string(said); strings.Count(text, "\n") != 1 || !strings.Contains(text, "permission denied") {
			t.Errorf("%v: it said %q, want one line", args, text)
		}
		if sockets, _ := filepath.Glob(filepath.Join(parent, ".s.*")); sockets != nil {
			t.Errorf("%v: left behind: %v", args, sockets)
		}
	}
}
