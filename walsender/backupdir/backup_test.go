package backupdir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/backupdir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A copy of a backup is the backup: the same files, the same label, the same WAL; from each
// format to each, of a primary, a standby and a cluster that was shut down.
func TestBackup_9_3_Copy(t *testing.T) {
	clusters := map[string]func(t *testing.T) *walsendertest.Cluster{
		"primary": sample,
		"standby": func(*testing.T) *walsendertest.Cluster { return walsendertest.Standby() },
		"shut down": func(*testing.T) *walsendertest.Cluster {
			c := walsendertest.Primary()
			c.Sample.Unlogged = true
			return c
		},
	}
	formats := map[string][]func(*client.Options){"plain": nil, "tar": {inTar}}
	for name, cluster := range clusters {
		for from, fromFormat := range formats {
			dir := take(t, cluster(t), fromFormat...)
			for to, toFormat := range formats {
				t.Run(fmt.Sprintf("%s from %s to %s", name, from, to), func(t *testing.T) {
					backup := open(t, dir, backupdir.Options{Verify: true})
					copied := filepath.Join(t.TempDir(), "copy")
					result, err := copyOf(t, backup, copied, toFormat...)
					must(t, err)
					report, err := client.Verify(t.Context(), copied, client.VerifyOptions{})
					must(t, err)
					if len(report.Problems) > 0 {
						t.Errorf("problems: %v", report.Problems)
					}
					was, is := readManifest(t, dir), readManifest(t, copied)
					for _, m := range []*manifest.Manifest{was, is} {
						m.Files = slices.DeleteFunc(m.Files, func(f manifest.File) bool { return f.Path == "tablespace_map" }) // of the tar format
						for i := range m.Files {
							m.Files[i].ModTime = time.Time{} // that of the files of the backup
						}
					}
					if diff := cmp.Diff(was, is); diff != "" {
						t.Errorf("manifest (-backup +copy):\n%s", diff)
					}
					info := backup.Info()
					if result.StartPtr != info.Start || result.StopPtr != info.Stop || info.Archives != (from == "tar") {
						t.Errorf("copied %+v, of %+v", result, info)
					}
				})
			}
		}
	}
}

// What a backup says of itself is its own, whatever label was asked for.
func TestBackup_9_3_OwnLabel(t *testing.T) {
	for name, format := range map[string][]func(*client.Options){"plain": nil, "tar": {inTar}} {
		t.Run(name, func(t *testing.T) {
			dir := take(t, walsendertest.Standby(), append(format, func(o *client.Options) { o.Label = "sunday" })...)
			b := open(t, dir, backupdir.Options{})
			point, running, notices, err := start(t, b)
			must(t, err)
			stop, err := running.Stop(t.Context(), false, nil)
			must(t, err)
			label, err := protocol.ParseBackupLabel(stop.Label)
			must(t, err)
			info := b.Info()
			if label.Label != "sunday" || label.From != "standby" || point.Label != stop.Label || point.StartPtr != label.StartPtr {
				t.Errorf("label %+v of %+v", label, point)
			}
			if stop.StopPtr != info.Stop || stop.StopPtr <= stop.StartPtr || info.Label != "sunday" || !info.FromStandby || len(notices) > 0 {
				t.Errorf("%+v, %+v, notices %q", stop, info, notices)
			}
			system, err := b.Identify(t.Context())
			must(t, err)
			settings, err := b.Settings(t.Context())
			must(t, err)
			if recovers, err := b.InRecovery(t.Context()); err != nil || !recovers || !settings.InHotStandby || system.XLogPos != stop.StopPtr {
				t.Errorf("in recovery %v (%v), %+v, %+v", recovers, err, settings, system)
			}
		})
	}
}

// A backup of WAL that is elsewhere says so before anything is copied.
func TestBackup_9_3_WithoutWAL(t *testing.T) {
	dir := take(t, sample(t), func(o *client.Options) { o.WAL.Method = client.WALNone })
	b := open(t, dir, backupdir.Options{})
	_, _, notices, err := start(t, b)
	must(t, err)
	if len(notices) != 1 {
		t.Errorf("notices %q", notices)
	}
	for _, err := range b.WALFiles(t.Context(), 0, 0) {
		wantError(t, err, protocol.CodeUndefinedFile, "has already been removed")
	}
	copied := filepath.Join(t.TempDir(), "copy")
	_, err = copyOf(t, b, copied, func(o *client.Options) { o.WAL.Method = client.WALNone })
	must(t, err)
}

// The WAL of a backup goes from its first segment to its last, whatever else is in pg_wal.
func TestBackup_9_3_WALRange(t *testing.T) {
	dir := take(t, sample(t))
	b := open(t, dir, backupdir.Options{})
	var names []string
	for f, err := range b.WALFiles(t.Context(), 0, 0) {
		must(t, err)
		names = append(names, f.Path)
	}
	if len(names) == 0 {
		t.Fatal("no WAL")
	}
	stop := b.Info().Stop
	for _, test := range []struct{ start, end protocol.LSN }{{1, stop}, {b.Info().Start, stop + 64<<20}, {stop + 64<<20, 0}} {
		for _, err := range b.WALFiles(t.Context(), test.start, test.end) {
			wantError(t, err, protocol.CodeUndefinedFile, "has already been removed")
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, names[0]))
	must(t, err)
	other := "pg_wal/0000000100000000000000F0"
	must(t, os.WriteFile(filepath.Join(dir, other), content, 0o600))
	_, err = b.Open(t.Context(), other, protocol.OpenOptions{})
	wantError(t, err, protocol.CodeUndefinedFile, "0000000100000000000000F0")
}

// A path that is turned to another backup leads to that one, and a session that began
// before stays with its own.
func TestBackup_9_3_Reopen(t *testing.T) {
	for name, format := range map[string][]func(*client.Options){"plain": nil, "tar": {inTar}} {
		t.Run(name, func(t *testing.T) {
			label := func(text string) func(*client.Options) { return func(o *client.Options) { o.Label = text } }
			first := take(t, walsendertest.RunningPrimary(), append(format, label("first"))...)
			second := take(t, walsendertest.RunningPrimary(), append(format, label("second"))...)
			latest := filepath.Join(t.TempDir(), "latest")
			turn := func(to string) {
				must(t, os.Symlink(to, latest+".new"))
				must(t, os.Rename(latest+".new", latest))
			}
			turn(first)
			b := open(t, latest, backupdir.Options{})
			serves := func(want string) {
				t.Helper()
				now, release, err := b.Reopen(t.Context())
				must(t, err)
				defer release()
				got := now.(*backupdir.Backup)
				if got.Info().Label != want {
					t.Errorf("serves %q, want %q", got.Info().Label, want)
				}
				if _, _, _, err := start(t, got); err != nil {
					t.Error(err)
				}
			}
			serves("first")
			turn(second)
			if _, _, _, err := start(t, b); !protocol.HasCode(err, protocol.CodeObjectNotInPrerequisite) {
				t.Errorf("the first is started: %v", err)
			}
			serves("second")
			turn(t.TempDir())
			_, _, err := b.Reopen(t.Context())
			wantError(t, err, protocol.CodeCannotConnectNow, "was replaced")
			turn(first)
			serves("first")

			// In place: the directory is the same, and what is in it another backup.
			must(t, os.RemoveAll(first+".old"))
			for _, entry := range entries(t, first) {
				must(t, os.RemoveAll(filepath.Join(first, entry)))
			}
			for _, entry := range entries(t, second) {
				must(t, os.Rename(filepath.Join(second, entry), filepath.Join(first, entry)))
			}
			serves("second")
		})
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range all {
		names = append(names, entry.Name())
	}
	return names
}
