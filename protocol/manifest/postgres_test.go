//go:build unix

package manifest_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// PostgreSQL is the oracle: the manifest that it writes is read, and written again to the
// byte.
func TestPostgreSQL_Manifest(t *testing.T) {
	pg := postgres.Require(t)
	cluster := pg.NewCluster(t, postgres.InitOptions{})
	if err := cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"naïve", "quote\" back\\slash", "\b\f\n\r\t\x01\x1f\x7f", "not UTF-8 \xff"} {
		if err := os.WriteFile(filepath.Join(cluster.Dir, name), []byte(name), 0o644); err != nil {
			t.Logf("without a file %q: %v", name, err) // not every file system takes every name
		}
	}
	dir := pg.TempDir(t)
	for i, options := range [][]string{
		nil,
		{"--manifest-checksums=SHA512", "--manifest-force-encode"},
		{"--manifest-checksums=NONE"},
	} {
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			backup := filepath.Join(dir, fmt.Sprintf("backup%d", i))
			_, err := pg.Run(t.Context(), "pg_basebackup", append(options, "-d", cluster.ConnString("postgres"), "-D", backup,
				"-X", "none", "-c", "fast", "--no-sync")...)
			if err != nil {
				t.Fatal(err)
			}
			checkManifest(t, backup, len(options) == 2)
		})
	}
}

func checkManifest(t *testing.T, backup string, forceEncode bool) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join(backup, "backup_manifest"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Read(bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(writeManifest(t, m, forceEncode))); diff != "" {
		t.Errorf("manifest (-want +got):\n%.2000s", diff)
	}
	for _, f := range m.Files {
		content, err := fs.ReadFile(os.DirFS(backup), f.Path)
		if err != nil {
			content, err = os.ReadFile(filepath.Join(backup, f.Path)) // DirFS takes UTF-8 only
		}
		if err != nil {
			t.Fatal(err)
		}
		var sum []byte
		if h := f.Algorithm.New(); h != nil {
			h.Write(content)
			sum = h.Sum(nil)
		}
		if int64(len(content)) != f.Size || !bytes.Equal(sum, f.Checksum) {
			t.Errorf("%q: %d bytes, %v %x; the manifest has %+v", f.Path, len(content), f.Algorithm, sum, f)
		}
	}
}
