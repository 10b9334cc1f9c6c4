package datadir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// A cluster without a directory that its server does not start without is not backed up, and a link
// to one is as good (§4.1).
func TestStopped_4_1_MissingDirectories(t *testing.T) {
	aside := filepath.Join(t.TempDir(), "aside")
	for _, o := range []datadir.Options{{}, {Crashed: true}} {
		c, dir := sample(t, walsendertest.Sample{Version: 13, Relations: 1}, o)
		must(t, c.CheckBackup(t.Context()))
		for _, path := range protocol.NeededDirectories(13) {
			if path == "global" {
				continue // pg_control is missed ahead of it
			}
			at := filepath.Join(dir, path)
			must(t, os.Rename(at, aside))
			_, _, err := c.StartBackup(t.Context(), request(nil))
			wantMissing(t, path, err)
			wantMissing(t, path, c.CheckBackup(t.Context()))
			must(t, os.Symlink(aside, at))
			must(t, c.CheckDirectories())
			must(t, os.Remove(at))
			must(t, os.WriteFile(at, nil, 0o600))
			wantMissing(t, path, c.CheckDirectories())
			must(t, os.Remove(at))
			must(t, os.Rename(aside, at))
		}
		must(t, c.CheckBackup(t.Context()))
	}
}

func wantMissing(t *testing.T, path string, err error) {
	t.Helper()
	wantCode(t, err, protocol.CodeObjectNotInPrerequisite)
	if err == nil || !strings.Contains(err.Error(), `"`+path+`" is missing`) {
		t.Errorf("without %s: %v", path, err)
	}
}
