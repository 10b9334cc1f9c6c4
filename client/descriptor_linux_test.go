package client_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// mountLoop makes a file system in a file, and mounts it until the test ends. The test is
// skipped where that cannot be done.
func mountLoop(t *testing.T, mkfs ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	dir := t.TempDir()
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 320<<20)) // XFS wants 300 MiB
	must(t, os.Mkdir(mounted, 0o700))
	for _, command := range [][]string{append(mkfs, image), {"mount", "-o", "loop", image, mounted}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%q: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mounted).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return mounted
}

func TestDescriptor_8_4_XFS(t *testing.T) {
	testClone(t, mountLoop(t, "mkfs.xfs", "-q", "-m", "reflink=1"))
}

func TestDescriptor_8_4_Btrfs_Long(t *testing.T) {
	longtest.Mark(t)
	testClone(t, mountLoop(t, "mkfs.btrfs", "-q"))
}

// testClone takes backups from a file system to itself. Its files share their blocks.
func testClone(t *testing.T, mounted string) {
	source := filepath.Join(mounted, "source")
	must(t, describedSample().Write(source))
	t.Run("whole", func(t *testing.T) {
		want := cloneTo(t, source, filepath.Join(mounted, "copied"), client.Options{NoDescriptors: true}, "0 (0 kB) cloned")
		got := cloneTo(t, source, filepath.Join(mounted, "cloned"), client.Options{Jobs: 2}, "6 (1920 kB) cloned, 0 (0 kB) copied by descriptor")
		if got != want {
			t.Errorf("the manifest of the clone is\n%s\nwant\n%s", got, want)
		}
		// A copy is a copy: what the server writes into its own file later is not in it.
		must(t, os.WriteFile(filepath.Join(source, "base/5/20000"), []byte("changed"), 0o600))
		report, err := client.Verify(t.Context(), filepath.Join(mounted, "cloned"), client.VerifyOptions{})
		must(t, err)
		if len(report.Problems) > 0 {
			t.Errorf("problems: %v", report.Problems)
		}
	})
	t.Run("grown", func(t *testing.T) { // as of a file that is longer by now than it was when the server opened it
		config := serveUnix(t, source, func(c *datadir.Stopped) walsender.Cluster {
			return wrongDescriptors{c, func(f *wrongDescriptor) { f.size -= 8192 + 17 }}
		})
		_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: filepath.Join(mounted, "grown"), NoVerifyChecksums: true})
		want := fmt.Sprintf("file %q has shrunk from %d bytes to %d", describedFile, describedSize, describedSize-8192-17)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		sample := describedSample()
		sample.DamagedPages = []walsendertest.DamagedPage{{Path: describedFile, Block: 7}}
		damaged := filepath.Join(mounted, "damaged")
		must(t, sample.Write(damaged))
		var log eventLog
		_, err := client.Backup(t.Context(), client.Options{ConnConfig: serveUnix(t, damaged, nil), Dir: filepath.Join(mounted, "copy"), Log: log.add})
		if !errors.Is(err, client.ErrChecksum) || log.with("5 (1600 kB) cloned") == "" || log.with("block 7: calculated") == "" {
			t.Errorf("error %v, log %q", err, log.lines)
		}
	})
}

// cloneTo takes a backup, and returns its manifest as text.
func cloneTo(t *testing.T, source, dir string, o client.Options, ways string) string {
	t.Helper()
	var log eventLog
	o.ConnConfig, o.Dir, o.Log = serveUnix(t, source, nil), dir, log.add
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	if log.with(ways) == "" {
		t.Errorf("nobody says %q, but %q", ways, log.with("over the connection"))
	}
	return fmt.Sprint(manifestFiles(t, dir))
}
