package client_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// changedCluster is a stopped cluster that somebody changes while it is copied.
type changedCluster struct {
	*datadir.Stopped
	change func()
}

func (c changedCluster) StartBackup(ctx context.Context, r protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start, b, err := c.Stopped.StartBackup(ctx, r)
	return start, changedBackup{b, c.change}, err
}

type changedBackup struct {
	protocol.RunningBackup
	change func()
}

func (b changedBackup) Stop(ctx context.Context, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	b.change()
	return b.RunningBackup.Stop(ctx, wait, notice)
}

// Reopen keeps sessions with this cluster.
func (c changedCluster) Reopen(context.Context) (any, func(), error) { return c, func() {}, nil }

// What happens to a stopped cluster while it is copied has no WAL that makes up for it, a
// standby's neither, though its backup has a label.
func TestBackup_5_2_StoppedClusterChanges(t *testing.T) {
	const relation = "base/5/20000"
	for name, test := range map[string]struct {
		change func(path string) error
		want   string // empty: success
	}{
		"nothing": {func(string) error { return nil }, ""},
		"rewritten": {func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, content, 0o600)
		}, `file "` + relation + `" was changed during the backup`},
		"truncated": {func(path string) error { return os.Truncate(path, 8192) }, `file "` + relation + `" was changed during the backup`},
		"removed":   {os.Remove, "1 files were removed during the backup"},
		"log file": {func(path string) error {
			return os.WriteFile(filepath.Join(path, "../../../notes.txt"), []byte("written meanwhile\n"), 0o600)
		}, ""},
	} {
		for _, state := range []controlfile.State{controlfile.StateShutDown, controlfile.StateShutDownInRecovery} {
			t.Run(name+" "+state.String(), func(t *testing.T) {
				t.Parallel()
				source := filepath.Join(t.TempDir(), "source")
				must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, State: state}.Write(source))
				long := time.Now().Add(-time.Hour)
				must(t, os.Chtimes(filepath.Join(source, relation), long, long))
				must(t, os.WriteFile(filepath.Join(source, "notes.txt"), []byte("before\n"), 0o600))
				cluster, err := datadir.Open(source, datadir.Options{})
				must(t, err)
				defer cluster.Close()
				changed := changedCluster{cluster, func() { must(t, test.change(filepath.Join(source, relation))) }}
				dir := filepath.Join(t.TempDir(), "copy")
				_, err = client.Backup(t.Context(), client.Options{ConnConfig: listen(t, &walsender.Server{Cluster: changed}), Dir: dir})
				if test.want == "" {
					must(t, err)
					return
				}
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("%v, want %q", err, test.want)
				}
				if _, err := os.Lstat(dir); err == nil {
					t.Error("something is left")
				}
			})
		}
	}
}
