package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// Each state that a kill between two steps of a release, of its undoing, or of the first changes
// in place can leave is taken up: in the directory, and in the one beside it. The source has
// directories whose names only the marker, or the manifest, can tell.
func TestRefresh_5_6_StatesOfAKill_Long(t *testing.T) {
	longtest.Mark(t)
	checkStatesOfAKill(t, func(string, string, string) bool { return true })
}

// The states are those of a refresh in place that has just begun.
func TestRefresh_5_6_StatesOfAKill(t *testing.T) {
	checkStatesOfAKill(t, func(control, manifest, marker string) bool {
		return control == output.ControlFileHeld && manifest == output.ManifestFile && (marker == "half" || marker == "text")
	})
}

func checkStatesOfAKill(t *testing.T, selected func(control, manifest, marker string) bool) {
	t.Helper()
	source, dsn := serveSample(t)
	must(t, os.Mkdir(filepath.Join(source, "notes"), 0o700))
	must(t, os.WriteFile(filepath.Join(source, "notes/of_ours"), []byte("notes"), 0o600))
	must(t, os.Mkdir(filepath.Join(source, "empty_of_ours"), 0o700))
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	backup := Options{ConnConfig: config, NoSync: true, NoVerifyChecksums: true}

	// What a killed backup has left has the marker as it is when all is listed.
	whole := filepath.Join(t.TempDir(), "killed")
	o := backup
	o.Dir = whole
	killIn(t, "stop backup", dsn, o)
	marker := read(t, whole, output.MarkerFile)
	text, _, _ := strings.Cut(marker, "contents: ")
	markers := map[string]*string{"no": nil, "empty": new(string), "half": new(string), "text": &text, "whole": &marker}
	*markers["half"] = marker[:40]

	taken := filepath.Join(t.TempDir(), "taken")
	o.Dir = taken
	_, err = Backup(t.Context(), o)
	must(t, err)

	place := func(t *testing.T, dir, control, manifest string, marker *string) {
		t.Helper()
		must(t, os.CopyFS(dir, os.DirFS(taken)))
		must(t, os.Rename(filepath.Join(dir, output.ControlFile), filepath.Join(dir, control)))
		if manifest == "" {
			must(t, os.Remove(filepath.Join(dir, output.ManifestFile)))
		} else {
			must(t, os.Rename(filepath.Join(dir, output.ManifestFile), filepath.Join(dir, manifest)))
		}
		if marker != nil {
			must(t, os.WriteFile(filepath.Join(dir, output.MarkerFile), []byte(*marker), 0o600))
		}
	}
	for _, how := range []string{"beside", "in place", "sibling", "force"} {
		for _, control := range []string{output.ControlFile, output.ControlFileHeld} {
			for _, manifest := range []string{"", output.ManifestFileTmp, output.ManifestFile} {
				for name, marker := range markers {
					switch {
					case !selected(control, manifest, name):
						continue
					case control == output.ControlFile && (manifest == "" || how == "force"):
						continue // no refresh releases without a manifest, and force refuses what is released
					case manifest == "" && name != "whole":
						continue // the manifest goes when the marker is whole
					}
					t.Run(fmt.Sprintf("%s,%s,%s,%s marker", how, filepath.Base(control), manifest, name), func(t *testing.T) {
						o := backup
						o.Dir = filepath.Join(t.TempDir(), "copy")
						o.Refresh, o.InPlace, o.Force = how != "force", how == "in place", how == "force"
						in := o.Dir
						if how == "sibling" {
							must(t, os.CopyFS(o.Dir, os.DirFS(taken)))
							in += ".pgparallel-refresh"
						}
						place(t, in, control, manifest, marker)
						if _, err := Backup(t.Context(), o); err != nil {
							t.Fatal(err)
						}
						if !isFinished(t, o.Dir) || read(t, o.Dir, "notes/of_ours") != "notes" {
							t.Error("it is not finished")
						}
						if _, err := os.Stat(o.Dir + ".pgparallel-refresh"); err == nil {
							t.Error("something is left beside it")
						}
					})
				}
			}
		}
	}
}

// A refresh that takes up what another has left, and is killed before it has listed the files,
// leaves a marker that still says what is there.
func TestRefresh_5_6_KilledTwice(t *testing.T) {
	source, dsn := serveSample(t)
	must(t, os.Mkdir(filepath.Join(source, "notes"), 0o700))
	must(t, os.WriteFile(filepath.Join(source, "notes/of_ours"), []byte("notes"), 0o600))
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	o := Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true, NoVerifyChecksums: true}
	killIn(t, "stop backup", dsn, o)
	o.Refresh = true
	killIn(t, "list files", dsn, o)
	killIn(t, "stop backup", dsn, o)
	_, err = Backup(t.Context(), o)
	must(t, err)
	if !isFinished(t, o.Dir) {
		t.Error("it is not finished")
	}
}

// A backup without a manifest, too, that is killed between any two of its last steps, is known for
// what it is: also where it holds directories whose names only the marker has told.
func TestRefresh_5_6_KilledWithoutManifest_Long(t *testing.T) {
	longtest.Mark(t)
	checkKilledWithoutManifest(t, "sync", "publish archives", "remove marker", "release control file")
}

// The step is that in which neither a marker nor pg_control is there.
func TestRefresh_5_6_KilledWithoutManifest(t *testing.T) {
	checkKilledWithoutManifest(t, "release control file")
}

func checkKilledWithoutManifest(t *testing.T, steps ...string) {
	t.Helper()
	source, dsn := serveSample(t)
	must(t, os.Mkdir(filepath.Join(source, "notes"), 0o700))
	must(t, os.WriteFile(filepath.Join(source, "notes/of_ours"), []byte("notes"), 0o600))
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	for _, step := range steps {
		for _, how := range []string{"refresh", "force"} {
			t.Run(step+", "+how, func(t *testing.T) {
				o := Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true, NoVerifyChecksums: true}
				o.Manifest.Omit = true
				killIn(t, step, dsn, o)
				o.Refresh, o.Force = how == "refresh", how == "force"
				_, err := Backup(t.Context(), o)
				must(t, err)
				if read(t, o.Dir, "notes/of_ours") != "notes" {
					t.Error("a file is not there")
				}
				for _, name := range []string{output.MarkerFile, output.MarkerFile + ".new", output.ControlFileHeld} {
					if _, err := os.Stat(filepath.Join(o.Dir, name)); err == nil {
						t.Errorf("there is %s", name)
					}
				}
			})
		}
	}
}
