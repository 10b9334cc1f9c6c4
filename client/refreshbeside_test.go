package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// What is in the directory beside the old backup is used, and so removed, only where it is of the
// same cluster. In place it is left alone.
func TestRefresh_BesideOfAnotherCluster(t *testing.T) {
	config := serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{})
	other := serve(t, writeSample(t, walsendertest.Sample{SystemID: 4711}), &walsender.Server{})
	for _, state := range []string{"finished", "unfinished"} {
		t.Run(state, func(t *testing.T) {
			dir, _ := copyOf(t)
			var log eventLog
			o := client.Options{ConnConfig: config, Dir: dir, NoSync: true, NoVerifyChecksums: true, Log: log.add}
			_, err := client.Backup(t.Context(), o)
			must(t, err)
			beside := client.Options{ConnConfig: other, Dir: dir + besideDir, NoSync: true, NoVerifyChecksums: true}
			_, err = client.Backup(t.Context(), beside)
			must(t, err)
			if state == "unfinished" {
				must(t, os.Rename(filepath.Join(beside.Dir, "global/pg_control"), filepath.Join(beside.Dir, "global/pg_control.incomplete")))
				must(t, os.WriteFile(filepath.Join(beside.Dir, "pgparallel.incomplete"), nil, 0o600))
			}
			before := contents(t, filepath.Dir(dir))
			o.Refresh = true
			for range 2 {
				_, err = client.Backup(t.Context(), o)
				if err == nil || !strings.Contains(err.Error(), besideDir) || !strings.Contains(err.Error(), "4711") {
					t.Errorf("error is %v", err)
				}
				if diff := cmp.Diff(before, contents(t, filepath.Dir(dir))); diff != "" {
					t.Fatalf("something has changed: %s", diff)
				}
			}
			before = contents(t, beside.Dir)
			o.InPlace = true
			_, err = client.Backup(t.Context(), o)
			must(t, err)
			if diff := cmp.Diff(before, contents(t, beside.Dir)); diff != "" {
				t.Errorf("in place: something has changed beside it: %s", diff)
			}
			if log.with("stays as it is") == "" {
				t.Error("nobody says that there is something beside it")
			}
		})
	}
}

// Where the directory is gone, and a backup is beside it, a new one is taken, and the other told of.
func TestRefresh_BesideOfNothing(t *testing.T) {
	dir, _ := copyOf(t)
	var log eventLog
	o := client.Options{ConnConfig: serve(t, writeSample(t, walsendertest.Sample{}), &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true, Refresh: true, Log: log.add}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	if log.with("stays as it is") != "" {
		t.Error("there is nothing beside it")
	}
	must(t, os.Rename(dir, dir+besideDir))
	_, err = client.Backup(t.Context(), o)
	must(t, err)
	if log.with("stays as it is") == "" {
		t.Error("nobody says that there is something beside it")
	}
	_, err = client.Backup(t.Context(), o) // which the next one uses
	must(t, err)
	checkRefreshed(t, o)
}

// A tablespace that moves within a refresh in place leaves its directory, and a message that says
// where it is.
func TestRefresh_InPlaceElsewhere(t *testing.T) {
	location := filepath.Join(t.TempDir(), "location")
	source := writeSample(t, walsendertest.Sample{Tablespaces: []walsendertest.SampleTablespace{{OID: 16500, Location: location}}})
	dir, _ := copyOf(t)
	var log eventLog
	o := client.Options{ConnConfig: serve(t, source, &walsender.Server{}), Dir: dir, NoSync: true, NoVerifyChecksums: true, Log: log.add}
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	o.TablespaceMap = map[string]string{location: a}
	_, err := client.Backup(t.Context(), o)
	must(t, err)
	o.Refresh, o.InPlace = true, true
	o.TablespaceMap = map[string]string{location: b}
	_, err = client.Backup(t.Context(), o)
	must(t, err)
	if got := log.with("was that of tablespace 16500"); !strings.Contains(got, "is in \""+b+"\" now") {
		t.Errorf("it says %q", got)
	}
}
