package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/backupdir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A file that something else has as well, such as a copy of the directory that was made of links,
// becomes one of the backup's own.
func TestRefresh_8_3_FilesOfItsOwn(t *testing.T) {
	const kept = "base/5/20000"
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprintf("in place %v", inPlace), func(t *testing.T) {
			source := writeSample(t, walsendertest.Sample{})
			dir, _ := copyOf(t)
			o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
			_, err := client.Backup(t.Context(), o)
			must(t, err)
			yesterday := filepath.Join(t.TempDir(), "yesterday")
			must(t, os.Link(filepath.Join(o.Dir, kept), yesterday))
			o.Refresh, o.InPlace = true, inPlace
			_, err = client.Backup(t.Context(), o)
			must(t, err)
			info, err := os.Stat(filepath.Join(o.Dir, kept))
			must(t, err)
			if n := info.Sys().(*syscall.Stat_t).Nlink; n != 1 || inodeOf(t, yesterday) == inodeOf(t, filepath.Join(o.Dir, kept)) {
				t.Errorf("%s has %d names, and that of the other is one of them", kept, n)
			}
			checkRefreshed(t, o)
		})
	}
}

// Directories have the mode of those of a new backup.
func TestRefresh_5_2_DirectoryModes(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	must(t, errors.Join(os.Chmod(filepath.Join(dir, "base/5"), 0o777), os.Chmod(filepath.Join(dir, "global"), 0o755)))
	o.Refresh, o.InPlace = true, true
	_, err = client.Backup(t.Context(), o)
	must(t, err)
	for _, name := range []string{"base/5", "global"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, want 0700", name, info.Mode())
		}
	}
}

// A source that was restored has what a server leaves that was started from a backup, and so has
// each backup of it.
func TestRefresh_8_3_SourceThatWasRestored(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	for _, name := range []string{"backup_label.old", "tablespace_map.old"} {
		must(t, os.WriteFile(filepath.Join(source, name), []byte("old"), 0o600))
	}
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
	for _, o.Refresh = range []bool{false, true, true} {
		if _, err := client.Backup(t.Context(), o); err != nil {
			t.Fatalf("refresh %v: %v", o.Refresh, err)
		}
	}
	checkRefreshed(t, o)
}

// A server in single-user mode may leave no file behind; pg_control tells by its checkpoint, where
// no checksum does. All that are valid have the same CRC-32C, as each ends with its own.
func TestRefresh_8_3_OtherControlFile(t *testing.T) {
	for _, sum := range []manifest.ChecksumAlgorithm{manifest.ChecksumCRC32C, manifest.ChecksumSHA256, manifest.ChecksumNone} {
		t.Run(fmt.Sprint(sum), func(t *testing.T) {
			source := writeSample(t, walsendertest.Sample{})
			dir, _ := copyOf(t)
			o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
			o.Manifest.Checksums = sum
			_, err := client.Backup(t.Context(), o)
			must(t, err)
			moveCheckpoint(t, filepath.Join(dir, "global/pg_control"))
			before := contents(t, dir)
			for _, o.InPlace = range []bool{false, true} {
				o.Refresh = true
				if _, err := client.Backup(t.Context(), o); !errors.Is(err, client.ErrStarted) {
					t.Errorf("in place %v: error %v, want that a server was started", o.InPlace, err)
				}
			}
			if got := contents(t, dir); len(got) != len(before) {
				t.Errorf("%d files, want %d", len(got), len(before))
			}
		})
	}
}

// moveCheckpoint does what a server does to pg_control.
func moveCheckpoint(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	control, err := controlfile.Decode(content)
	must(t, err)
	control.Checkpoint += 1 << 30
	must(t, os.WriteFile(path, control.Encode(), 0o600))
}

// A backup that is served is not refreshed from itself, by whatever path: nothing would be left
// of it.
func TestRefresh_9_3_FromItself(t *testing.T) {
	source := writeSample(t, walsendertest.Sample{})
	dir, _ := copyOf(t)
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	served, err := backupdir.Open(dir, backupdir.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, served.Close()) })
	o.ConnConfig = listen(t, &walsender.Server{Cluster: served})
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	before := contents(t, dir)
	o.Refresh = true
	for _, o.Dir = range []string{dir, link} {
		for _, o.InPlace = range []bool{true, false} {
			if _, err := client.Backup(t.Context(), o); err == nil || !strings.Contains(err.Error(), "SQLSTATE 55006") {
				t.Errorf("%s, in place %v: error %v, want one of an object in use", o.Dir, o.InPlace, err)
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Fatalf("%s, in place %v: something has changed: %s", o.Dir, o.InPlace, diff)
			}
		}
	}

	// Of another backup it is refreshed, and others may copy it then.
	o.Dir, _ = copyOf(t)
	for _, o.Refresh = range []bool{false, true} {
		if _, err := client.Backup(t.Context(), o); err != nil {
			t.Errorf("refresh %v of another backup: %v", o.Refresh, err)
		}
	}
}

// What lies in the two directories is judged behind START_BACKUP only, though the copy is claimed
// ahead of it: what changes in between is seen, and no file is listed, nor its digest asked for.
func TestRefresh_5_16_JudgesBehindTheStart(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprintf("in place %v", inPlace), func(t *testing.T) {
			source := writeSample(t, walsendertest.Sample{})
			dir, _ := copyOf(t)
			var mu sync.Mutex
			var early []string
			started := false
			server := &walsender.Server{Authorize: func(_ context.Context, _ walsender.Caller, command string) error {
				mu.Lock()
				defer mu.Unlock()
				started = started || strings.HasPrefix(command, "START_BACKUP")
				if !started && (strings.HasPrefix(command, "LIST_FILES") || strings.HasPrefix(command, "FILE_DIGESTS")) {
					early = append(early, command)
				}
				return nil
			}}
			o := client.Options{ConnConfig: serve(t, source, server), Dir: dir, NoSync: true, NoVerifyChecksums: true}
			_, err := client.Backup(t.Context(), o)
			must(t, err)
			mu.Lock()
			started = false
			mu.Unlock()
			o.Refresh, o.InPlace = true, inPlace
			o.OnStep(func(step string) {
				if step != "start backup" {
					return
				}
				overwrite(t, filepath.Join(source, "base/5/20000"), 0, "changed there")
				overwrite(t, filepath.Join(dir, "base/5/20001"), 0, "changed here")
				must(t, os.Remove(filepath.Join(source, "base/5/20000_vm")))
			})
			_, err = client.Backup(t.Context(), o)
			must(t, err)
			mu.Lock()
			if len(early) > 0 {
				t.Errorf("ahead of START_BACKUP it asks %q", early)
			}
			mu.Unlock()
			o.OnStep(nil)
			checkRefreshed(t, o)
		})
	}
}
