package client

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// The environment of a process that takes a backup and is killed in a step of it.
const (
	killedIn  = "CLIENT_TEST_KILLED_IN"
	killedDir = "CLIENT_TEST_KILLED_DIR"
	killedDSN = "CLIENT_TEST_KILLED_DSN"
)

// RunKilledBackup is what the test program does instead of tests where its
// environment says so, which it reports.
func RunKilledBackup() bool {
	name, killed := os.LookupEnv(killedIn)
	if !killed {
		return false
	}
	config, err := pgconn.ParseConfig(os.Getenv(killedDSN))
	if err != nil {
		panic(err)
	}
	Backup(context.Background(), Options{ConnConfig: config, Dir: os.Getenv(killedDir), FastCheckpoint: true, step: func(step string) {
		if step == name {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	return true
}

// Whatever kills the process, PostgreSQL refuses what is left: there is no pg_control
// before all else is there.
func TestBackup_5_6_Killed(t *testing.T) {
	f := newFake(t)
	for _, name := range stepNames(t) {
		dir := filepath.Join(t.TempDir(), "copy")
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), killedIn+"="+name, killedDir+"="+dir, killedDSN+"="+f.connString())
		out, err := command.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("step %s: the process was not killed: %v\n%s", name, err, out)
		}
		_, started := os.Stat(filepath.Join(dir, controlFile))
		_, listed := os.Stat(filepath.Join(dir, manifestFile))
		if last := name == "remove marker"; last != (listed == nil) {
			t.Errorf("step %s: there is a manifest: %v", name, listed == nil)
		}
		if last := name == "write manifest" || name == "remove marker"; last != (started == nil) {
			t.Errorf("step %s: pg_control in place: %v", name, started == nil)
		}
		_, exists := os.Stat(dir)
		_, marked := os.Stat(filepath.Join(dir, markerFile))
		if (exists == nil) != (marked == nil) {
			t.Errorf("step %s: the directory: %v, its marker: %v", name, exists, marked)
		}
		if started == nil {
			for _, needed := range []string{labelFile, "pg_wal/000000010000000000000001", "base/1/16384"} {
				if _, err := os.Stat(filepath.Join(dir, needed)); err != nil {
					t.Errorf("step %s: %v", name, err)
				}
			}
		}
		if strings.Contains(string(out), "panic") {
			t.Errorf("step %s:\n%s", name, out)
		}
	}
}
