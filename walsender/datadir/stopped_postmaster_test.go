package datadir_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// process runs a program in a directory until the test ends.
func process(t *testing.T, dir string) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Dir = dir
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// With --crashed, postmaster.pid counts while its process works in the data directory.
func TestStopped_4_1_StalePostmaster(t *testing.T) {
	ended := exec.Command("true")
	must(t, ended.Run())
	dead := ended.Process.Pid
	for name, test := range map[string]struct {
		text    func(dir string) string
		refused bool
	}{
		"dead":          {func(dir string) string { return fmt.Sprintf("%d\n%s\n", dead, dir) }, false},
		"works here":    {func(dir string) string { return fmt.Sprintf("%d\n/elsewhere\n", process(t, dir)) }, true},
		"works there":   {func(dir string) string { return fmt.Sprintf("%d\n%s\n", process(t, t.TempDir()), dir) }, false},
		"empty":         {func(string) string { return "" }, false},
		"not a number":  {func(dir string) string { return "x\n" + dir + "\n" }, false},
		"all processes": {func(dir string) string { return "-1\n" + dir + "\n" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir := sample(t, walsendertest.Sample{State: controlfile.StateInProduction}, datadir.Options{})
			must(t, os.WriteFile(dir+"/postmaster.pid", []byte(test.text(dir)), 0o600))
			_, _, err := open(t, dir, datadir.Options{}).StartBackup(t.Context(), request(nil))
			wantCode(t, err, protocol.CodeObjectNotInPrerequisite)
			crashed := open(t, dir, datadir.Options{Crashed: true})
			_, backup, err := crashed.StartBackup(t.Context(), request(nil))
			if test.refused {
				wantCode(t, err, protocol.CodeObjectNotInPrerequisite)
				return
			}
			must(t, err)
			_, err = backup.Stop(t.Context(), false, nil)
			must(t, err)

			// Another server's is a change.
			_, backup, err = crashed.StartBackup(t.Context(), request(nil))
			must(t, err)
			must(t, os.WriteFile(dir+"/postmaster.pid", []byte("1\n/\n"), 0o600))
			_, err = backup.Stop(t.Context(), false, nil)
			wantCode(t, err, protocol.CodeObjectNotInPrerequisite)
		})
	}
}

// A postmaster that was killed leaves postmaster.pid, and backends for a while.
func TestPostgres_4_1_KilledPostmaster(t *testing.T) {
	ctx, p := t.Context(), postgres.Require(t)
	cluster := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1})
	must(t, cluster.Start(ctx))
	sql(t, cluster, "create table t as select generate_series(1, 1000) i")
	want, err := cluster.Fingerprint(ctx)
	must(t, err)
	crashed := open(t, cluster.Dir, datadir.Options{Crashed: true})
	_, _, err = crashed.StartBackup(ctx, request(nil))
	wantCode(t, err, protocol.CodeObjectNotInPrerequisite)

	text, err := os.ReadFile(cluster.Dir + "/postmaster.pid")
	must(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	// Nobody has to stop it in the end, though its parent may not have noticed yet.
	t.Cleanup(func() { must(t, os.Remove(cluster.Dir+"/postmaster.pid")) })
	for err := error(nil); ; { // while its backends end, which they do at their own pace
		var backup protocol.RunningBackup
		if _, backup, err = crashed.StartBackup(ctx, request(nil)); err == nil {
			backup.Abort()
			break
		}
		if !strings.Contains(err.Error(), "the cluster is running: process") {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(p.TempDir(t), "data")
	restore(t, p, crashed, dir)
	compareContent(t, want, startCopy(t, p, dir))
}
