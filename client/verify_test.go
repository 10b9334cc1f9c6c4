package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// newBackup takes a backup that verifies.
func newBackup(t *testing.T) string {
	t.Helper()
	f := newFake(t)
	parent := t.TempDir()
	f.withTablespace("16400", filepath.Join(parent, "space"))
	dir := filepath.Join(parent, "copy")
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, NoSync: true, Manifest: ManifestOptions{Checksums: manifest.ChecksumSHA224}})
	must(t, err)
	return dir
}

func TestVerify(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(dir string) error
		want  []string
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"missing", func(dir string) error { return os.Remove(dir + "/base/1/16384") }, []string{`"base/1/16384" is present in the manifest but not on disk`}},
		{"extra", func(dir string) error { return os.WriteFile(dir+"/base/extra", nil, 0o600) }, []string{`"base/extra" is present on disk but not in the manifest`}},
		{"size", func(dir string) error { return os.Truncate(dir+"/base/1/16384", 5) }, []string{`"base/1/16384" has size 5 on disk but size 8192 in the manifest`}},
		{"checksum", func(dir string) error { return os.WriteFile(dir+"/PG_VERSION", []byte("16\n"), 0o600) }, []string{`checksum mismatch for file "PG_VERSION"`}},
		{"tablespace", func(dir string) error {
			return os.WriteFile(dir+"/pg_tblspc/16400/PG_15_202209061/1/a", []byte("spice"), 0o600)
		}, []string{`checksum mismatch for file "pg_tblspc/16400/PG_15_202209061/1/a"`}},
		{"extra in tablespace", func(dir string) error { return os.WriteFile(dir+"/pg_tblspc/16400/PG_15_202209061/x", nil, 0o600) }, []string{`"pg_tblspc/16400/PG_15_202209061/x" is present on disk but not in the manifest`}},
		{"ignored", func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/standby.signal", nil, 0o600), os.WriteFile(dir+"/recovery.signal", nil, 0o600),
				os.WriteFile(dir+"/postgresql.auto.conf", []byte("x"), 0o600), os.WriteFile(dir+"/pg_wal/x", nil, 0o600), os.Remove(dir+"/pg_wal/archive_status/000000010000000000000001.done"))
		}, nil},
		{"not ignored elsewhere", func(dir string) error { return os.WriteFile(dir+"/base/standby.signal", nil, 0o600) }, []string{`"base/standby.signal" is present on disk but not in the manifest`}},
		{"no file", func(dir string) error {
			return errors.Join(os.Remove(dir+"/PG_VERSION"), os.Symlink("/dev/null", dir+"/PG_VERSION"))
		}, []string{`"PG_VERSION" is not a file or directory`, `"PG_VERSION" is present in the manifest but not on disk`}},
		{"dangling", func(dir string) error { return os.Symlink("/nowhere/at/all", dir+"/x") }, []string{`could not stat file or directory "x": no such file or directory`}},
		{"several", func(dir string) error {
			return errors.Join(os.Remove(dir+"/base/1/16385"), os.WriteFile(dir+"/PG_VERSION", []byte("16\n"), 0o600), os.WriteFile(dir+"/z", nil, 0o600))
		}, []string{`checksum mismatch for file "PG_VERSION"`, `"base/1/16385" is present in the manifest but not on disk`, `"z" is present on disk but not in the manifest`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newBackup(t)
			must(t, test.spoil(dir))
			for _, jobs := range []int{0, 4} {
				report, err := Verify(t.Context(), dir, VerifyOptions{Jobs: jobs})
				must(t, err)
				var got []string
				for _, p := range report.Problems {
					got = append(got, p.Message)
				}
				if test.name == "no file" {
					got = []string{got[1], got[0]} // of one path, missing comes before the rest
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("problems with %d jobs (-want +got):\n%s", jobs, diff)
				}
			}
		})
	}
}

func TestVerify_Options(t *testing.T) {
	dir := newBackup(t)
	must(t, os.WriteFile(dir+"/PG_VERSION", []byte("16\n"), 0o600))
	must(t, os.WriteFile(dir+"/base/extra", nil, 0o600))
	var last Progress
	report, err := Verify(t.Context(), dir, VerifyOptions{SkipChecksums: true, Ignore: []string{"base"}})
	must(t, err)
	if len(report.Problems) > 0 || report.Bytes != 0 {
		t.Errorf("%+v", report)
	}
	_, err = Verify(t.Context(), dir, VerifyOptions{Jobs: 3, Progress: func(p Progress) { last = p }})
	must(t, err)
	if last.Files == 0 || last.Files != last.TotalFiles || last.Bytes != last.TotalBytes {
		t.Errorf("progress at the end is %+v", last)
	}
}

func TestVerify_NoComparison(t *testing.T) {
	dir := newBackup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, dir, VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a canceled verification is %v", err)
	}
	manifest := read(t, dir, output.ManifestFile)
	must(t, os.WriteFile(filepath.Join(dir, output.ManifestFile), []byte(strings.Replace(manifest, "PG_VERSION", "PG_VISION!", 1)), 0o600))
	if _, err := Verify(t.Context(), dir, VerifyOptions{}); err == nil {
		t.Error("no error for a manifest with another checksum")
	}
	must(t, os.Remove(filepath.Join(dir, output.ManifestFile)))
	if _, err := Verify(t.Context(), dir, VerifyOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error without a manifest is %v", err)
	}
	must(t, os.Rename(dir+"/global/pg_control", dir+"/global/pg_control.incomplete"))
	want := `holds an unfinished backup: there is "global/pg_control.incomplete" in it`
	if _, err := Verify(t.Context(), dir, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error of an unfinished backup is %v", err)
	}
}
