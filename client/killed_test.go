package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// The environment of a process that takes a backup and is killed in a step of it.
const (
	killedIn  = "CLIENT_TEST_KILLED_IN"
	killedDir = "CLIENT_TEST_KILLED_DIR"
	killedDSN = "CLIENT_TEST_KILLED_DSN"
	killedWAL = "CLIENT_TEST_KILLED_WALDIR"
	killedOld = "CLIENT_TEST_KILLED_OLD" // a tablespace's location, to be mapped
	killedNew = "CLIENT_TEST_KILLED_NEW"
	killedTar = "CLIENT_TEST_KILLED_TAR"     // in tar format where it is not empty
	killedOmt = "CLIENT_TEST_KILLED_OMIT"    // without a manifest where it is not empty
	killedRef = "CLIENT_TEST_KILLED_REFRESH" // "yes" refreshes, "in place" where the backup is
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
	o := Options{ConnConfig: config, Dir: os.Getenv(killedDir), WAL: WALOptions{Dir: os.Getenv(killedWAL)}, FastCheckpoint: true, step: func(step string) {
		if step == name {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	if os.Getenv(killedTar) != "" {
		o.Archive = &ArchiveOptions{}
	}
	o.Manifest.Omit = os.Getenv(killedOmt) != ""
	if how := os.Getenv(killedRef); how != "" {
		o.Refresh, o.InPlace = true, how == "in place"
		o.NoSync, o.NoVerifyChecksums = true, true
	}
	if old := os.Getenv(killedOld); old != "" {
		o.TablespaceMap = map[string]string{old: os.Getenv(killedNew)}
	}
	_, err = Backup(context.Background(), o)
	fmt.Println("the backup ended before it was killed:", err)
	return true
}

// killIn takes a backup in a process of its own that is killed in a step.
func killIn(t *testing.T, step, dsn string, o Options) (said string) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), killedIn+"="+step, killedDir+"="+o.Dir, killedDSN+"="+dsn, killedWAL+"="+o.WAL.Dir)
	if o.Archive != nil {
		command.Env = append(command.Env, killedTar+"=yes")
	}
	if o.Manifest.Omit {
		command.Env = append(command.Env, killedOmt+"=yes")
	}
	if o.Refresh {
		command.Env = append(command.Env, killedRef+"="+map[bool]string{false: "yes", true: "in place"}[o.InPlace])
	}
	for from, to := range o.TablespaceMap {
		command.Env = append(command.Env, killedOld+"="+from, killedNew+"="+to)
	}
	out, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("step %s: the process was not killed: %v\n%s", step, err, out)
	}
	return string(out)
}

// isReleased reports whether the control file has its name when a step begins.
func isReleased(step string) bool { return step == "remove other markers" || step == "name manifest" }

// Whatever kills the process, PostgreSQL refuses what is left: there is no pg_control
// before all else is there.
func TestBackup_5_6_Killed(t *testing.T) {
	f := newFake(t)
	for _, name := range stepNames(t) {
		dir := filepath.Join(t.TempDir(), "copy")
		said := killIn(t, name, f.connString(), Options{Dir: dir})
		_, started := os.Stat(filepath.Join(dir, output.ControlFile))
		_, listed := os.Stat(filepath.Join(dir, output.ManifestFile))
		if listed == nil {
			t.Errorf("step %s: there is a manifest", name)
		}
		if isReleased(name) != (started == nil) {
			t.Errorf("step %s: pg_control in place: %v", name, started == nil)
		}
		_, exists := os.Stat(dir)
		_, marked := os.Stat(filepath.Join(dir, output.MarkerFile))
		if (exists == nil && name != "release control file" && !isReleased(name)) != (marked == nil) {
			t.Errorf("step %s: the directory: %v, its marker: %v", name, exists, marked)
		}
		if started == nil {
			for _, needed := range []string{output.LabelFile, "pg_wal/000000010000000000000001", "base/1/16384"} {
				if _, err := os.Stat(filepath.Join(dir, needed)); err != nil {
					t.Errorf("step %s: %v", name, err)
				}
			}
		}
		if strings.Contains(said, "panic") {
			t.Errorf("step %s:\n%s", name, said)
		}
	}
}
