package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A disk that is full at various points of the backup, from the first byte on: the error
// says so, and nothing is left. It takes a file system of a size of its own, which only root can mount.
func TestServer_5_3_DiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, walsendertest.Sample{WALSegmentSize: 1 << 20, RelationPages: 50}.Write(dir))
	config := serve(t, dir, &walsender.Server{})
	for name, archive := range map[string]*client.ArchiveOptions{"plain": nil, "tar": {}} {
		for _, size := range []string{"0", "64k", "1m", "3m"} {
			t.Run(name+"/"+size, func(t *testing.T) {
				small := t.TempDir()
				must(t, os.Chmod(small, 0o755))
				options := "mode=755,size=" + size
				if size == "0" {
					options = "mode=755,size=64k"
				}
				if err := syscall.Mount("tmpfs", small, "tmpfs", 0, options); err != nil {
					t.Skipf("cannot mount a small file system: %v", err)
				}
				mounted := small
				t.Cleanup(func() { must(t, syscall.Unmount(mounted, 0)) })
				if size == "0" {
					_ = os.WriteFile(filepath.Join(small, "full"), make([]byte, 64<<10), 0o600) // as much as there is room for
					must(t, os.MkdirAll(filepath.Join(small, "empty"), 0o755))
					small = filepath.Join(small, "empty")
				}
				warned := false
				log := func(e client.Event) {
					warned = warned || e.Level == client.LevelWarning && strings.Contains(e.Message, "kB left, the backup needs")
				}
				if _, err := client.DryRun(t.Context(), client.Options{ConnConfig: config, Dir: small, Archive: archive, Log: log}); err != nil || !warned {
					t.Errorf("the dry run: warned: %v, %v", warned, err)
				}
				_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: small, Jobs: 4, Archive: archive})
				if err == nil || !strings.Contains(err.Error(), "no space left on device") {
					t.Errorf("error is %v, want one that says that the disk is full", err)
				}
				left, err := os.ReadDir(small)
				must(t, err)
				if len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
				if info, err := os.Stat(small); err != nil || info.Mode().Perm() != 0o755 {
					t.Errorf("mode %v, %v; want 0755 as before", info.Mode(), err)
				}
			})
		}
	}
}
