package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
)

// checkRefuses makes sure that neither a backup with force nor its dry run goes on, that the
// error names what is in the way, and that nothing is removed.
func checkRefuses(t *testing.T, base string, o Options, names string) {
	t.Helper()
	o.Force = true
	before := outputtest.Tree(t, base)
	_, err := Backup(t.Context(), o)
	_, dryErr := DryRun(t.Context(), o)
	for _, err := range []error{err, dryErr} {
		if err == nil || errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), names) {
			t.Errorf("error is %v, and should name %s", err, names)
		}
	}
	outputtest.SameTree(t, before, base)
}

// makeFiles creates files, and the directories that they need.
func makeFiles(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, nil, 0o600))
	}
}

// Force removes no cluster, no file of somebody else and no directory of another version from
// where a backup was killed.
func TestMarker_5_6_ForceRefusesWhatNoBackupWrote(t *testing.T) {
	for _, listed := range []bool{true, false} {
		// Killed once, and left as it is by each refusal.
		f := newFake(t)
		base := t.TempDir()
		f.withTablespace("16400", filepath.Join(base, "space"))
		o := Options{Dir: filepath.Join(base, "copy"), WAL: WALOptions{Dir: filepath.Join(base, "wal")}}
		killIn(t, "sync", f.connString(), o)
		if !listed {
			forgetContents(t, filepath.Join(base, "*"))
		}
		o.ConnConfig = f.config()
		for name, c := range map[string]struct {
			files []string
			names string
		}{
			"cluster":                   {[]string{"copy/other/PG_VERSION", "copy/other/global/pg_control"}, "copy/other"},
			"cluster in a known place":  {[]string{"copy/base/other/global/pg_control"}, "copy/base/other/global/pg_control"},
			"server":                    {[]string{"copy/base/other/postmaster.pid"}, "copy/base/other/postmaster.pid"},
			"version file":              {[]string{"copy/pg_xact/PG_VERSION"}, "copy/pg_xact/PG_VERSION"},
			"cluster in a tablespace":   {[]string{"space/other/PG_VERSION", "space/other/global/pg_control"}, "space/other"},
			"server in a tablespace":    {[]string{"space/PG_15_202209061/other/postmaster.pid"}, "space/PG_15_202209061/other/postmaster.pid"},
			"cluster as a tablespace":   {[]string{"space/PG_VERSION"}, "space/PG_VERSION"},
			"file":                      {[]string{"copy/README.important"}, "copy/README.important"},
			"directory":                 {[]string{"copy/mine/file"}, "copy/mine"},
			"directory in a tablespace": {[]string{"space/mine/file"}, "space/mine"},
			"major version":             {[]string{"space/PG_14_202107181/99/1234"}, "space/PG_"},
			"directory in WAL":          {[]string{"wal/mine/file"}, "wal/mine"},
			"version file in WAL":       {[]string{"wal/PG_VERSION"}, "wal/PG_VERSION"},
		} {
			t.Run(name, func(t *testing.T) {
				for _, file := range c.files {
					t.Cleanup(removeLater(t, filepath.Join(base, file)))
					makeFiles(t, filepath.Join(base, file))
				}
				checkRefuses(t, base, o, c.names)
			})
		}
	}
}

// removeLater returns a function that removes a file, and what has been made above it since.
func removeLater(t *testing.T, file string) func() {
	t.Helper()
	above := filepath.Dir(file)
	for {
		if _, err := os.Stat(above); err == nil {
			break
		}
		file, above = above, filepath.Dir(above)
	}
	return func() { must(t, os.RemoveAll(file)) }
}

// forgetContents makes markers those of an earlier version, without the contents.
func forgetContents(t *testing.T, pattern string) {
	t.Helper()
	markers, err := filepath.Glob(filepath.Join(pattern, "pgparallel.incomplete"))
	must(t, err)
	for _, marker := range markers {
		text, err := os.ReadFile(marker)
		must(t, err)
		before, _, found := strings.Cut(string(text), "contents: ")
		if !found {
			t.Errorf("%s says nothing of the contents: %q", marker, text)
		}
		must(t, os.WriteFile(marker, []byte(before), 0o600))
	}
}

// What the server has listed at the top of its data directory is a backup's to remove.
func TestMarker_5_6_ForceRemovesWhatWasListed(t *testing.T) {
	f := newFake(t)
	f.mu.Lock() // the backup is another process's: nothing else puts this before its sessions
	f.listed = func(rows []protocol.File) []protocol.File {
		return append(rows, protocol.File{Path: "mine", Type: protocol.TypeDirectory, ModTime: fakeTime})
	}
	f.mu.Unlock()
	base := t.TempDir()
	o := Options{Dir: filepath.Join(base, "copy")}
	killIn(t, "sync", f.connString(), o)
	makeFiles(t, filepath.Join(o.Dir, "mine/file"))
	o.ConnConfig, o.Force = f.config(), true
	_, err := Backup(t.Context(), o)
	must(t, err)
	if _, err := os.Stat(filepath.Join(o.Dir, "mine/file")); err == nil {
		t.Error("the leftover is still there")
	}
}

// A directory in which a backup was killed may be that of a tablespace of the source by now.
func TestMarker_5_6_ForceRefusesTablespaceOfSource(t *testing.T) {
	for _, link := range []bool{false, true} {
		f := newFake(t)
		base := t.TempDir()
		dir, space, live := filepath.Join(base, "copy"), filepath.Join(base, "space"), filepath.Join(base, "space")
		if link {
			live = filepath.Join(base, "link")
			must(t, os.Symlink(space, live))
		}
		unfinished(t, dir)
		unfinishedPart(t, space, dir)
		f.tablespaces = func(int) []protocol.Tablespace {
			return []protocol.Tablespace{{OID: 16500, Location: filepath.Join(base, "first")}, {OID: 16501, Location: live}}
		}
		checkRefuses(t, base, Options{ConnConfig: f.config(), Dir: dir, TablespaceMap: map[string]string{
			filepath.Join(base, "first"): space, live: filepath.Join(base, "second"),
		}}, "is the location of tablespace 16501 of the server")
	}
}
