package client

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
)

// withTablespaces gives the cluster tablespaces from 16400 on, each with two files, in
// directories below base, and returns those.
func (f *fake) withTablespaces(base string, n int) []string {
	var all []protocol.Tablespace
	var locations []string
	listed := func(rows []protocol.File) []protocol.File { return rows }
	query := func(*fakeSession, string) bool { return false }
	for i := range n {
		location := filepath.Join(base, fmt.Sprintf("space%d", i))
		f.withTablespace(fmt.Sprint(16400+i), location)
		before, now, queryBefore, queryNow := listed, f.listed, query, f.query
		listed = func(rows []protocol.File) []protocol.File { return now(before(rows)) }
		query = func(s *fakeSession, command string) bool { return queryBefore(s, command) || queryNow(s, command) }
		all = append(all, protocol.Tablespace{OID: uint32(16400 + i), Location: location, Size: 1})
		locations = append(locations, location)
	}
	f.mu.Lock() // see withTablespace
	defer f.mu.Unlock()
	f.listed, f.query, f.tablespaces = listed, query, func(int) []protocol.Tablespace { return all }
	return locations
}

// A kill between the markers of two of several directories, while they are created or
// removed, leaves what force removes, or what nothing removes.
func TestRelease_5_6_KilledBetweenMarkers(t *testing.T) {
	for _, step := range []string{"start backup", "remove other markers"} {
		for k := range 4 {
			t.Run(fmt.Sprintf("%s %d", step, k), func(t *testing.T) {
				f := newFake(t)
				base := t.TempDir()
				others := append(f.withTablespaces(base, 2), filepath.Join(base, "wal"))
				o := Options{Dir: filepath.Join(base, "copy"), WAL: WALOptions{Dir: others[2]}}
				killIn(t, step, f.connString(), o)
				if isReleased(step) { // killed when the first k are removed
					for _, dir := range others[:k] {
						must(t, os.Remove(filepath.Join(dir, output.MarkerFile)))
					}
				} else { // killed when the first k are created
					for _, dir := range others[k:] {
						must(t, os.RemoveAll(dir))
					}
				}
				o.ConnConfig = f.config()
				checkForce(t, step, base, o)
			})
		}
	}
}

// Killed behind any step of its release, and between the names of two archives, a backup
// in tar format is one that force removes, or it is complete, but for the manifest's name.
func TestRelease_5_6_KilledArchives(t *testing.T) {
	for _, step := range releaseSteps {
		for named := range 3 { // of the archives of the tablespaces
			if named > 0 && step != "publish archives" {
				continue
			}
			f := newFake(t)
			base := t.TempDir()
			spaces := f.withTablespaces(base, 2)
			o := Options{Dir: filepath.Join(base, "copy"), Archive: &ArchiveOptions{}}
			killIn(t, step, f.connString(), o)
			for i := range named {
				name := filepath.Join(o.Dir, fmt.Sprintf("%d.tar", 16400+i))
				must(t, os.Rename(name+output.IncompleteSuffix, name))
			}
			if isReleased(step) {
				checkUnpacked(t, o.Dir, spaces)
			}
			o.ConnConfig = f.config()
			checkForceOnArchives(t, step, o)
		}
	}
}

// checkForceOnArchives is checkForce for archives.
func checkForceOnArchives(t *testing.T, step string, o Options) {
	t.Helper()
	before := outputtest.Tree(t, o.Dir)
	_, err := Backup(t.Context(), o)
	if err == nil || errors.Is(err, ErrUnfinished) == isReleased(step) {
		t.Errorf("step %s: the next backup says %v", step, err)
	}
	o.Force = true
	if _, err = Backup(t.Context(), o); (err == nil) == isReleased(step) {
		t.Errorf("step %s: the next backup by force says %v", step, err)
	}
	if isReleased(step) {
		outputtest.SameTree(t, before, o.Dir)
	}
}

// checkUnpacked verifies archives with the manifest that lies beside them, and has not
// got its name yet. The tablespaces go to the spaces.
func checkUnpacked(t *testing.T, dir string, spaces []string) {
	t.Helper()
	data := t.TempDir()
	unpack := func(name, to string) {
		if out, err := exec.Command("tar", "-xf", filepath.Join(dir, name), "-C", to).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	unpack("base.tar", data)
	for i, space := range spaces {
		must(t, os.MkdirAll(space, 0o700))
		must(t, os.Symlink(space, filepath.Join(data, "pg_tblspc", fmt.Sprint(16400+i)))) // as recovery makes it
		unpack(fmt.Sprintf("%d.tar", 16400+i), space)
	}
	must(t, os.WriteFile(filepath.Join(data, output.ManifestFile), []byte(read(t, dir, output.ManifestFileTmp)), 0o600))
	report, err := Verify(t.Context(), data, VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("problems: %v", report.Problems)
	}
}
